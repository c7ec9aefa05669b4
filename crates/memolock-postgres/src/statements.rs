//! The statements: one for each operation, atomic because it locks the key's row first of all.
//!
//! Those that change something find the row by `ON CONFLICT` or `UPDATE`, which wait for whoever holds
//! it and then look at its newest version. What is told is queued at commit, before the row is let go:
//! the order of notifications is that of effects. The clock is the statement's beginning, so that all
//! parts of it agree; a lease that begins a little early is safe.

use futures_util::future::try_join_all;
use tokio_postgres::{Client, Error, Statement};

use crate::table::Table;

/// Which statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Get,
    Acquire,
    Fulfil,
    Renew,
    Release,
    Put,
    Invalidate,
    Inspect,
    Fence,
    Pages,
    Sweep,
}

const VERBS: [Verb; 11] = [
    Verb::Get,
    Verb::Acquire,
    Verb::Fulfil,
    Verb::Renew,
    Verb::Release,
    Verb::Put,
    Verb::Invalidate,
    Verb::Inspect,
    Verb::Fence,
    Verb::Pages,
    Verb::Sweep,
];

/// The value is there.
const LIVE: &str =
    "(m.value IS NOT NULL AND coalesce(m.value_until, 'infinity') > statement_timestamp())";
/// Somebody holds the lock.
const HELD: &str =
    "(m.token IS NOT NULL AND coalesce(m.lease_until, 'infinity') > statement_timestamp())";

/// A timestamp's distance from now in milliseconds, rounded up; none where there is no end.
const LEFT: &str = "CASE WHEN isfinite(m.$) \
     THEN ceil(extract(epoch FROM m.$ - statement_timestamp()) * 1000)::bigint END";

/// What a connection has prepared, in the order of `VERBS`.
#[derive(Debug)]
pub(crate) struct Statements(Vec<Statement>);

impl Statements {
    /// Prepares them all in one round trip. `channels` is the prefix of the table's channels.
    pub(crate) async fn prepare(
        client: &Client,
        table: &Table,
        channels: &str,
    ) -> Result<Self, Error> {
        let table = table.quoted();
        let texts: Vec<String> = VERBS
            .iter()
            .map(|verb| verb.text(&table, channels))
            .collect();
        let prepared = try_join_all(texts.iter().map(|text| client.prepare(text))).await?;
        Ok(Self(prepared))
    }

    pub(crate) fn of(&self, verb: Verb) -> &Statement {
        // The list and the enum are in the same order, which a test checks.
        &self.0[verb as usize]
    }
}

impl Verb {
    /// Whether it is sent before those that are queued: leases depend on an answer in time, and many are renewed by
    /// one statement.
    pub(crate) fn passes_queue(self) -> bool {
        matches!(self, Self::Renew)
    }

    /// Its SQL.
    fn text(self, table: &str, channels: &str) -> String {
        let tell = format!("pg_notify('{channels}' || $B::text, $P::text)");
        let blocked = format!("({LIVE} AND ($5::bytea IS NULL OR m.value <> $5))");
        let free = format!("(NOT {blocked} AND (NOT {HELD} OR m.token = $3))");
        let value_left = LEFT.replace('$', "value_until");
        let lease_left = LEFT.replace('$', "lease_until");
        let after = |parameter: &str| {
            format!("statement_timestamp() + {parameter}::bigint * interval '1 millisecond'")
        };
        match self {
            Self::Get => format!("SELECT m.value FROM {table} m WHERE m.id = $1 AND {LIVE}"),
            // Changed or not, the row is written: only then is it ours to read as it is now.
            Self::Acquire => format!(
                "INSERT INTO {table} AS m (id, name, token, lease_until) \
                 VALUES ($1, $2, $3, {until}) \
                 ON CONFLICT (id) DO UPDATE SET \
                 token = CASE WHEN {free} THEN $3 ELSE m.token END, \
                 lease_until = CASE WHEN {free} THEN excluded.lease_until ELSE m.lease_until END \
                 RETURNING CASE WHEN {blocked} THEN m.value END, m.token = $3, {lease_left}",
                until = after("$4"),
            ),
            Self::Fulfil => format!(
                "WITH m AS (UPDATE {table} m SET value = $3, value_until = {until}, \
                 token = NULL, lease_until = NULL \
                 WHERE m.id = $1 AND m.token = $2 AND {HELD} RETURNING 1) \
                 SELECT {tell} FROM m",
                until = after("$4"),
                tell = numbered(&tell, 5),
            ),
            // Locked in the order of keys, lest two of these wait for each other.
            Self::Renew => format!(
                "WITH asked AS (SELECT * FROM unnest($1::bytea[], $2::bytea[], $3::bigint[]) \
                 WITH ORDINALITY AS a (id, token, lease, nth)), \
                 ours AS (SELECT m.id, a.lease, a.nth FROM {table} m JOIN asked a \
                 ON m.id = a.id AND m.token = a.token WHERE {HELD} ORDER BY m.id, a.nth FOR UPDATE OF m), \
                 last AS (SELECT DISTINCT ON (id) id, lease FROM ours ORDER BY id, nth DESC), \
                 done AS (UPDATE {table} m SET lease_until = {until} FROM last l WHERE m.id = l.id) \
                 SELECT nth FROM ours",
                until = after("l.lease"),
            ),
            Self::Release => format!(
                "WITH m AS (UPDATE {table} m SET token = NULL, lease_until = NULL \
                 WHERE m.id = $1 AND m.token = $2 AND {HELD} RETURNING 1) \
                 SELECT CASE WHEN $4::text IS NOT NULL THEN {tell}::text END FROM m",
                tell = numbered(&tell, 3),
            ),
            Self::Put => format!(
                "WITH m AS (INSERT INTO {table} AS m (id, name, value, value_until) \
                 VALUES ($1, $2, $3, {until}) ON CONFLICT (id) DO UPDATE SET \
                 value = excluded.value, value_until = excluded.value_until, \
                 token = CASE WHEN $5::bool THEN NULL ELSE m.token END, \
                 lease_until = CASE WHEN $5 THEN NULL ELSE m.lease_until END RETURNING 1) \
                 SELECT {tell} FROM m",
                until = after("$4"),
                tell = numbered(&tell, 6),
            ),
            // Not a DELETE: that would not wait for one who is inserting the row just now.
            Self::Invalidate => format!(
                "WITH m AS (INSERT INTO {table} AS m (id, name) VALUES ($1, $2) \
                 ON CONFLICT (id) DO UPDATE SET value = NULL, value_until = NULL, \
                 token = NULL, lease_until = NULL RETURNING 1) \
                 SELECT {tell} FROM m",
                tell = numbered(&tell, 3),
            ),
            Self::Inspect => format!(
                "SELECT CASE WHEN {LIVE} THEN octet_length(m.value)::bigint END, {value_left}, \
                 CASE WHEN {HELD} THEN m.token END, {lease_left} FROM {table} m WHERE m.id = $1"
            ),
            Self::Fence => "SELECT pg_notify($1::text, $2::text), pg_backend_pid()".to_owned(),
            Self::Pages => format!(
                "SELECT pg_relation_size('{table}'::regclass) / current_setting('block_size')::bigint"
            ),
            Self::Sweep => format!(
                "WITH dead AS (SELECT m.ctid FROM {table} m \
                 WHERE m.ctid >= $1::text::tid AND m.ctid < $2::text::tid \
                 AND NOT {LIVE} AND NOT {HELD} FOR UPDATE SKIP LOCKED) \
                 DELETE FROM {table} m USING dead WHERE m.ctid = dead.ctid"
            ),
        }
    }
}

/// The bucket and the payload are the parameters `first` and the one after.
fn numbered(tell: &str, first: usize) -> String {
    let second = first + 1;
    tell.replace("$B", &format!("${first}"))
        .replace("$P", &format!("${second}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verbs_are_listed_in_their_order() {
        for (nth, verb) in VERBS.into_iter().enumerate() {
            assert_eq!(verb as usize, nth, "{verb:?}");
        }
    }

    #[test]
    fn no_parameter_is_left_without_a_number() {
        for verb in VERBS {
            let text = verb.text("\"t\"", "c_");
            assert!(!text.contains("$B") && !text.contains("$P"), "{text}");
            assert!(!text.contains("m.$"), "{text}");
        }
    }
}
