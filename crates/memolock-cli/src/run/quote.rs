//! The words of a command as one line of text. Different words have different lines.

use std::ffi::OsStr;

/// The words as a shell would read them again, with a space between them: plain words as they are, others in quotes.
/// The line is printable and has no line breaks. Bash reads the same words from it.
pub(super) fn line<'a>(words: impl IntoIterator<Item = &'a OsStr>) -> String {
    let mut line = String::new();
    for (nth, word) in words.into_iter().enumerate() {
        if nth > 0 {
            line.push(' ');
        }
        quote(&mut line, word.as_encoded_bytes());
    }
    line
}

fn quote(line: &mut String, word: &[u8]) {
    match std::str::from_utf8(word) {
        Ok(word) if !word.is_empty() && word.chars().all(is_plain) => line.push_str(word),
        Ok(word) if !word.contains(char::is_control) => {
            line.push('\'');
            line.push_str(&word.replace('\'', r"'\''"));
            line.push('\'');
        }
        _ => escape(line, word),
    }
}

/// Characters that mean nothing to a shell.
fn is_plain(c: char) -> bool {
    c.is_alphanumeric() || "_@%+=:,./-".contains(c)
}

/// `$'…'`, in which any byte can be written.
fn escape(line: &mut String, word: &[u8]) {
    line.push_str("$'");
    for chunk in word.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\n' => line.push_str(r"\n"),
                '\t' => line.push_str(r"\t"),
                '\r' => line.push_str(r"\r"),
                '\'' | '\\' => line.extend(['\\', c]),
                c if c.is_control() => hex(line, c.encode_utf8(&mut [0; 4]).as_bytes()),
                c => line.push(c),
            }
        }
        hex(line, chunk.invalid());
    }
    line.push('\'');
}

fn hex(line: &mut String, bytes: &[u8]) {
    for byte in bytes {
        line.push_str(&format!("\\x{byte:02x}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(words: &[&str]) -> String {
        line(words.iter().map(OsStr::new))
    }

    #[test]
    fn plain_words_stay_as_they_are() {
        assert_eq!(
            of(&["curl", "-s", "https://example.org/rates"]),
            "curl -s https://example.org/rates"
        );
        assert_eq!(of(&["échos", "A=b_c,d+e%f@g"]), "échos A=b_c,d+e%f@g");
    }

    #[test]
    fn other_words_are_quoted() {
        assert_eq!(of(&["printf", "[%s]", "a b"]), "printf '[%s]' 'a b'");
        assert_eq!(of(&["echo", "", "it's"]), r"echo '' 'it'\''s'");
        assert_eq!(of(&["echo", "a\n\t\u{1b}'\\"]), r"echo $'a\n\t\x1b\'\\'");
        assert_eq!(of(&["echo", "\u{85}"]), r"echo $'\xc2\x85'");
        assert_eq!(of(&["#x", "$'a'"]), r"'#x' '$'\''a'\'''");
    }

    #[cfg(unix)]
    #[test]
    fn different_words_have_different_lines() {
        use std::collections::HashSet;
        use std::os::unix::ffi::OsStrExt;

        let nasty: Vec<&[u8]> = vec![
            b"a",
            b" ",
            b"'",
            b"\\",
            b"$",
            b"\n",
            b"\"",
            b"#",
            b"\xff",
            b"\x1b",
            b"x0a",
            "ü".as_bytes(),
        ];
        let mut words: Vec<Vec<u8>> = vec![Vec::new()];
        for one in &nasty {
            words.push(one.to_vec());
            words.extend(nasty.iter().map(|other| [*one, *other].concat()));
        }
        let mut lines = HashSet::new();
        let mut distinct = |words: &[&[u8]]| {
            let line = line(words.iter().map(|word| OsStr::from_bytes(word)));
            assert!(!line.contains(char::is_control), "{line:?}");
            assert!(lines.insert(line.clone()), "{line:?} twice: {words:?}");
        };
        for one in &words {
            distinct(&[one]);
            for other in &words {
                distinct(&[one, other]);
            }
        }
        for (one, other) in [("a", "a"), (" ", "a"), ("'", ""), ("", "")] {
            distinct(&[b"a", one.as_bytes(), other.as_bytes()]);
        }
    }
}
