//! The table: its name, and the SQL that makes it.

use memolock_core::ErrorKind;
use memolock_core::connection::Fault;
use sha2::{Digest as _, Sha256};

/// The server cuts longer names.
const MAX_IDENTIFIER: usize = 63;

/// A table's name, with its schema if one was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Table {
    schema: Option<String>,
    name: String,
}

impl Table {
    /// Reads `table` or `schema.table`: small letters, digits and underscores, so that nobody has to
    /// think about quoting.
    pub(crate) fn parse(text: &str) -> Result<Self, Fault> {
        let (schema, name) = match text.split_once('.') {
            Some((schema, name)) => (Some(schema), name),
            None => (None, text),
        };
        if !schema.into_iter().chain([name]).all(is_plain) {
            let detail = "the table must be named `table` or `schema.table`, in small letters, digits and underscores";
            return Err(Fault::new(ErrorKind::Config, detail));
        }
        Ok(Self {
            schema: schema.map(str::to_owned),
            name: name.to_owned(),
        })
    }

    /// As it stands in SQL.
    pub(crate) fn quoted(&self) -> String {
        match &self.schema {
            Some(schema) => format!("\"{schema}\".\"{}\"", self.name),
            None => format!("\"{}\"", self.name),
        }
    }

    /// The SQL that makes it, if it is not there. Values are stored as they are: they may be compressed
    /// already. Half-full pages let updates stay on their page; nothing else is indexed, for ends change
    /// with every update.
    pub(crate) fn schema(&self) -> String {
        let table = self.quoted();
        format!(
            "CREATE UNLOGGED TABLE IF NOT EXISTS {table} (\n\
             \x20 id bytea PRIMARY KEY, -- SHA-256 of the name\n\
             \x20 name bytea NOT NULL,\n\
             \x20 value bytea,\n\
             \x20 value_until timestamptz,\n\
             \x20 token bytea,\n\
             \x20 lease_until timestamptz\n\
             ) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);\n\
             ALTER TABLE {table} ALTER COLUMN value SET STORAGE EXTERNAL;\n"
        )
    }
}

fn is_plain(part: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    (1..=MAX_IDENTIFIER).contains(&part.len()) && part.bytes().all(legal)
}

/// The prefix of a table's channels. Channels belong to the whole database, so it tells tables of the
/// same name in different schemas apart; and it outlives a table that is dropped and made anew.
pub(crate) fn channels(schema: &str, name: &str) -> String {
    let digest = Sha256::digest(format!("{schema}.{name}"));
    let hex: String = digest[..8]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("memolock_{hex}_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_plain_or_refused() {
        assert_eq!(Table::parse("memo_1").unwrap().quoted(), "\"memo_1\"");
        assert_eq!(Table::parse("a.b").unwrap().quoted(), "\"a\".\"b\"");
        for odd in [
            "", ".", "a.", ".b", "a.b.c", "A", "a b", "a\"b", "ä", "a;drop",
        ] {
            assert_eq!(Table::parse(odd).unwrap_err().kind(), ErrorKind::Config);
        }
        assert!(Table::parse(&"a".repeat(64)).is_err());
    }

    #[test]
    fn tables_of_the_same_name_have_channels_of_their_own() {
        assert_ne!(channels("a", "memolock"), channels("b", "memolock"));
        assert!(channels("a", "b").len() + 11 <= MAX_IDENTIFIER);
    }
}
