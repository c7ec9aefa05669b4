//! Just enough of Rust's grammar to tell code from comments and strings.

/// `text` with the contents of comments and of string and character literals blanked; lines stay
/// where they are.
pub(super) fn code(text: &str) -> String {
    let mut lexer = Lexer {
        chars: text.chars().collect(),
        at: 0,
        out: String::with_capacity(text.len()),
    };
    lexer.run();
    lexer.out
}

struct Lexer {
    chars: Vec<char>,
    at: usize,
    out: String,
}

impl Lexer {
    fn run(&mut self) {
        while let Some(c) = self.peek(0) {
            match c {
                '/' if self.peek(1) == Some('/') => {
                    self.blank_until(|lexer| lexer.peek(0) == Some('\n'));
                }
                '/' if self.peek(1) == Some('*') => self.block_comment(),
                '"' => self.string(),
                'r' if !self.in_word() && self.raw_hashes().is_some() => self.raw_string(),
                '\'' => self.character(),
                _ => self.keep(),
            }
        }
    }

    fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    fn keep(&mut self) {
        self.out.extend(self.peek(0));
        self.at += 1;
    }

    fn blank(&mut self) {
        self.out.push(if self.peek(0) == Some('\n') {
            '\n'
        } else {
            ' '
        });
        self.at += 1;
    }

    fn blank_until(&mut self, end: impl Fn(&Self) -> bool) {
        while self.peek(0).is_some() && !end(self) {
            self.blank();
        }
    }

    fn block_comment(&mut self) {
        let mut depth = 0;
        while self.peek(0).is_some() {
            let step = match (self.peek(0), self.peek(1)) {
                (Some('/'), Some('*')) => 1,
                (Some('*'), Some('/')) => -1,
                _ => 0,
            };
            depth += step;
            self.blank();
            if step != 0 {
                self.blank();
            }
            if depth == 0 {
                return;
            }
        }
    }

    fn string(&mut self) {
        self.keep();
        while let Some(c) = self.peek(0) {
            match c {
                '"' => return self.keep(),
                '\\' => {
                    self.blank();
                    if self.peek(0).is_some() {
                        self.blank();
                    }
                }
                _ => self.blank(),
            }
        }
    }

    /// Whether the character before belongs to a name, as in `for"`; `br` and `cr` begin strings too.
    fn in_word(&self) -> bool {
        let before = |back: usize| self.at.checked_sub(back).map(|at| self.chars[at]);
        let word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
        match before(1) {
            Some('b' | 'c') => word(before(2)),
            other => word(other),
        }
    }

    /// How many `#` follow the `r`, if a raw string does.
    fn raw_hashes(&self) -> Option<usize> {
        let hashes = (1..)
            .take_while(|ahead| self.peek(*ahead) == Some('#'))
            .count();
        (self.peek(hashes + 1) == Some('"')).then_some(hashes)
    }

    fn raw_string(&mut self) {
        let hashes = self.raw_hashes().unwrap_or(0);
        for _ in 0..hashes + 2 {
            self.keep();
        }
        self.blank_until(|lexer| {
            lexer.peek(0) == Some('"') && (1..=hashes).all(|ahead| lexer.peek(ahead) == Some('#'))
        });
        for _ in 0..=hashes {
            self.keep();
        }
    }

    /// A character literal, unless it is a lifetime or a label.
    fn character(&mut self) {
        self.keep();
        if self.peek(0) == Some('\\') {
            self.blank();
            self.blank();
            self.blank_until(|lexer| matches!(lexer.peek(0), Some('\'' | '\n')));
            self.keep();
        } else if self.peek(1) == Some('\'') {
            self.blank();
            self.keep();
        }
    }
}

/// The lines, from 1, that belong to items marked `#[cfg(test)]`. `code` is blanked already.
pub(super) fn test_lines(code: &str) -> Vec<std::ops::RangeInclusive<usize>> {
    let mut ranges = Vec::new();
    let mut from = 0;
    while let Some(found) = code[from..].find("#[cfg(test)]") {
        let start = from + found;
        let end = item_end(code, start);
        let line = |at: usize| code[..at].matches('\n').count() + 1;
        ranges.push(line(start)..=line(end));
        from = end;
    }
    ranges
}

/// Where the item that begins at `start` ends: at its matching brace, or a semicolon before any.
fn item_end(code: &str, start: usize) -> usize {
    let (mut braces, mut brackets) = (0_usize, 0_usize);
    // The attribute's own brackets are balanced.
    for (at, c) in code[start..].char_indices() {
        match c {
            ';' if braces + brackets == 0 => return start + at + 1,
            '[' | '(' => brackets += 1,
            ']' | ')' => brackets = brackets.saturating_sub(1),
            '{' => braces += 1,
            '}' if braces <= 1 => return start + at + 1,
            '}' => braces -= 1,
            _ => {}
        }
    }
    code.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_strings_are_blanked_and_code_is_not() {
        for (text, left) in [
            ("a // todo!()\nb", "a           \nb"),
            ("a /* x /* y */ z */ b", "a                   b"),
            (r#"f("a \" b", c)"#, r#"f("      ", c)"#),
            ("r#\"a\"b\"# + br\"x\"", "r#\"   \"# + br\" \""),
            (
                "let c = '\"'; let s: &'a str",
                "let c = ' '; let s: &'a str",
            ),
            (r"'\'' '\u{1}' x", "'  ' '     ' x"),
            ("for\"x\"", "for\" \""),
        ] {
            assert_eq!(code(text), left, "{text}");
        }
        let torn = "\"never closed\n";
        assert_eq!(code(torn).len(), torn.len());
    }

    #[test]
    fn test_items_are_found_with_their_ends() {
        let text = "fn a() {}\n#[cfg(test)]\nmod tests {\n  fn b() {}\n}\nfn c() {}\n#[cfg(test)]\nmod t;\nfn d() {}";
        assert_eq!(test_lines(text), [2..=5, 7..=8]);
        let array = "#[cfg(test)]\nfn a(b: [u8; 2]) -> [u8; 2] {\n  b\n}\nfn c() {}";
        assert_eq!(test_lines(array), [1..=4]);
    }
}
