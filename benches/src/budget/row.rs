//! One line of the table: a limit, what was measured, and the judgement.

use serde::Serialize;

/// A budget, or a part of one, and what was measured.
#[derive(Debug, Clone, Serialize)]
#[serde(into = "Written")]
pub struct Row {
    /// Its name: `B1`.
    pub budget: &'static str,
    /// What it is about.
    pub what: String,
    /// What must hold.
    pub limit: Limit,
    /// In which unit.
    pub unit: Unit,
    /// What was found; `None` if what is to be measured is not there yet.
    pub measured: Option<f64>,
    /// What else is worth knowing, in a few words.
    pub note: String,
}

/// What must hold of a figure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Limit {
    /// It must not be more.
    AtMost(f64),
    /// It must not be less.
    AtLeast(f64),
    /// It must be this.
    Exactly(f64),
    /// It is for information.
    None,
}

/// What a figure counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Things.
    Count,
    /// Times as much.
    Times,
    /// Milliseconds.
    Millis,
    /// Bytes.
    Bytes,
}

/// A row as JSON has it.
#[derive(Serialize)]
struct Written {
    budget: &'static str,
    what: String,
    limit: Option<f64>,
    rule: &'static str,
    unit: &'static str,
    measured: Option<f64>,
    of_limit: Option<f64>,
    met: bool,
    note: String,
}

impl Row {
    /// A row without a note.
    pub fn new(
        budget: &'static str,
        what: impl Into<String>,
        limit: Limit,
        unit: Unit,
        measured: impl Into<Option<f64>>,
    ) -> Self {
        Self {
            budget,
            what: what.into(),
            limit,
            unit,
            measured: measured.into(),
            note: String::new(),
        }
    }

    /// The same with a note.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }

    /// How much of the limit is used up: 1 is just met, whichever way the limit goes.
    #[must_use]
    pub fn of_limit(&self) -> Option<f64> {
        let measured = self.measured?;
        match self.limit {
            Limit::AtMost(limit) | Limit::Exactly(limit) => Some(measured / limit),
            Limit::AtLeast(limit) => Some(limit / measured),
            Limit::None => None,
        }
    }

    /// Whether it is met. What is not there, or no number, is missed; what has no limit is met.
    #[must_use]
    pub fn is_met(&self) -> bool {
        let holds = |measured: f64| match self.limit {
            Limit::AtMost(limit) => measured <= limit,
            Limit::AtLeast(limit) => measured >= limit,
            Limit::Exactly(limit) => measured == limit,
            Limit::None => true,
        };
        self.limit == Limit::None || self.measured.is_some_and(holds)
    }
}

impl Limit {
    /// The figure, if there is one.
    #[must_use]
    pub fn figure(self) -> Option<f64> {
        match self {
            Self::AtMost(figure) | Self::AtLeast(figure) | Self::Exactly(figure) => Some(figure),
            Self::None => None,
        }
    }

    /// The rule, as tables and JSON show it.
    #[must_use]
    pub fn sign(self) -> &'static str {
        match self {
            Self::AtMost(_) => "<=",
            Self::AtLeast(_) => ">=",
            Self::Exactly(_) => "=",
            Self::None => "",
        }
    }
}

impl Unit {
    /// As tables and JSON show it.
    #[must_use]
    pub fn sign(self) -> &'static str {
        match self {
            Self::Count => "",
            Self::Times => "x",
            Self::Millis => "ms",
            Self::Bytes => "B",
        }
    }
}

impl From<Row> for Written {
    fn from(row: Row) -> Self {
        Self {
            limit: row.limit.figure(),
            rule: row.limit.sign(),
            unit: row.unit.sign(),
            of_limit: row.of_limit().filter(|ratio| ratio.is_finite()),
            met: row.is_met(),
            budget: row.budget,
            what: row.what,
            measured: row.measured,
            note: row.note,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(limit: Limit, measured: impl Into<Option<f64>>) -> Row {
        Row::new("B0", "a thing", limit, Unit::Millis, measured)
    }

    #[test]
    fn limits_go_their_way() {
        for (limit, measured, met, ratio) in [
            (Limit::AtMost(20.0), 20.0, true, 1.0),
            (Limit::AtMost(20.0), 20.1, false, 1.005),
            (Limit::AtMost(20.0), -2.0, true, -0.1),
            (Limit::AtLeast(3.0), 3.0, true, 1.0),
            (Limit::AtLeast(3.0), 6.0, true, 0.5),
            (Limit::AtLeast(3.0), 1.5, false, 2.0),
            (Limit::Exactly(1.0), 1.0, true, 1.0),
            (Limit::Exactly(1.0), 2.0, false, 2.0),
            (Limit::Exactly(1.0), 0.0, false, 0.0),
        ] {
            let row = row(limit, measured);
            assert_eq!(row.is_met(), met, "{limit:?} {measured}");
            assert!(
                (row.of_limit().unwrap() - ratio).abs() < 1e-9,
                "{limit:?} {measured}"
            );
        }
    }

    #[test]
    fn what_is_not_there_or_no_number_is_missed() {
        for limit in [Limit::AtMost(1.0), Limit::AtLeast(1.0), Limit::Exactly(1.0)] {
            assert!(!row(limit, None).is_met());
            assert!(!row(limit, f64::NAN).is_met());
        }
        assert_eq!(row(Limit::AtMost(1.0), None).of_limit(), None);
        assert!(row(Limit::None, None).is_met());
        assert_eq!(row(Limit::None, 4.0).of_limit(), None);
    }

    #[test]
    fn json_has_the_judgement() {
        let json = serde_json::to_value(row(Limit::AtLeast(3.0), 1.5).note("n")).unwrap();
        assert_eq!(json["met"], false);
        assert_eq!((&json["rule"], &json["limit"]), (&">=".into(), &3.0.into()));
        assert_eq!(
            (&json["measured"], &json["of_limit"]),
            (&1.5.into(), &2.0.into())
        );
        assert_eq!((&json["unit"], &json["note"]), (&"ms".into(), &"n".into()));
        let missing = serde_json::to_value(row(Limit::AtMost(1.0), None)).unwrap();
        assert!(missing["measured"].is_null() && missing["of_limit"].is_null());
    }
}
