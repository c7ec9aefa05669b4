//! A figure: curves over one quantity that grows, as data.

use serde::Serialize;

/// Curves that are drawn together; both axes are logarithmic.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Figure {
    /// Of its file.
    pub(super) name: &'static str,
    pub(super) title: String,
    /// What was done, and what was counted how.
    pub(super) about: String,
    /// What grows.
    pub(super) x: &'static str,
    /// What is measured, with its unit.
    pub(super) y: &'static str,
    pub(super) curves: Vec<Curve>,
}

/// One line of a figure.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Curve {
    pub(super) name: String,
    pub(super) points: Vec<(f64, f64)>,
}

impl Figure {
    /// Every x, in order, once.
    pub(super) fn steps(&self) -> Vec<f64> {
        let mut steps: Vec<f64> = self.points().map(|(x, _)| x).collect();
        steps.sort_by(f64::total_cmp);
        steps.dedup();
        steps
    }

    /// The points of all curves.
    pub(super) fn points(&self) -> impl Iterator<Item = (f64, f64)> {
        let curves = self.curves.iter();
        curves.flat_map(|curve| curve.points.iter().copied())
    }
}

impl Curve {
    pub(super) fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            points: Vec::new(),
        }
    }

    pub(super) fn at(&self, x: f64) -> Option<f64> {
        let point = self.points.iter().find(|(at, _)| *at == x);
        point.map(|(_, y)| *y)
    }
}

/// A number for people: three digits, and k or M.
pub(super) fn short(number: f64) -> String {
    let digits = |number: f64| match number.abs() {
        large if large >= 99.95 => format!("{number:.0}"),
        middling if middling >= 9.995 => trimmed(format!("{number:.1}")),
        _ => trimmed(format!("{number:.2}")),
    };
    match number.abs() {
        millions if millions >= 999_500.0 => digits(number / 1e6) + "M",
        thousands if thousands >= 9_995.0 => digits(number / 1e3) + "k",
        _ => digits(number),
    }
}

fn trimmed(digits: String) -> String {
    match digits.contains('.') {
        true => digits
            .trim_end_matches('0')
            .trim_end_matches('.')
            .to_owned(),
        false => digits,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let said = [
            0.25,
            4.0,
            9.5,
            12.34,
            512.0,
            1234.0,
            10_000.0,
            10_240.0,
            16_777_216.0,
            100.0,
        ];
        let said = said.map(short);
        let expected = [
            "0.25", "4", "9.5", "12.3", "512", "1234", "10k", "10.2k", "16.8M", "100",
        ];
        assert_eq!(said, expected);
    }

    #[test]
    fn steps_are_those_of_all_curves() {
        let curve = |points: &[(f64, f64)]| Curve {
            name: "c".into(),
            points: points.to_vec(),
        };
        let figure = Figure {
            name: "f",
            title: String::new(),
            about: String::new(),
            x: "x",
            y: "y",
            curves: vec![curve(&[(8.0, 1.0), (2.0, 3.0)]), curve(&[(2.0, 9.0)])],
        };
        assert_eq!(figure.steps(), [2.0, 8.0]);
        assert_eq!(
            (figure.curves[1].at(2.0), figure.curves[1].at(8.0)),
            (Some(9.0), None)
        );
    }
}
