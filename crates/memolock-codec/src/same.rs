//! Whether two values are the same, seen through serde without loss: `Some(None)` is not `None`, floats are compared
//! by their bits, and the order of maps and sets does not count.

use std::borrow::Cow;

use serde::Serialize;
use serde_content::{Data, Number, Serializer, Value};

/// Where two values of one type differ first, as a path of fields and variants; `None` if they are the same, or if their
/// `Serialize` refuses, so that they cannot be compared. The path never quotes a value.
pub(crate) fn difference<T: Serialize>(left: &T, right: &T) -> Option<String> {
    let tree = |value| Serializer::new().serialize(value).ok();
    let (left, right) = (tree(left)?, tree(right)?);
    let mut path = String::from("the value");
    differs(&left, &right, &mut path).then_some(path)
}

/// Whether the two differ; then the path leads to the place.
fn differs(left: &Value<'_>, right: &Value<'_>, path: &mut String) -> bool {
    match (left, right) {
        (Value::Option(Some(left)), Value::Option(Some(right))) => differs(left, right, path),
        (Value::Struct(left), Value::Struct(right)) => data_differs(&left.data, &right.data, path),
        (Value::Enum(left), Value::Enum(right)) if left.variant == right.variant => {
            step(path, &format!("::{}", left.variant), |path| {
                data_differs(&left.data, &right.data, path)
            })
        }
        (Value::Tuple(left), Value::Tuple(right)) => all_differ(left, right, path),
        // A set is a sequence to serde. One that comes back in order is quickly compared.
        (Value::Seq(left), Value::Seq(right)) => {
            !(left.len() == right.len() && left.iter().zip(right).all(|(l, r)| same(l, r)))
                && sorted(left) != sorted(right)
        }
        (left, right) => !same(left, right),
    }
}

fn data_differs(left: &Data<'_>, right: &Data<'_>, path: &mut String) -> bool {
    match (left, right) {
        (Data::Unit, Data::Unit) => false,
        (Data::NewType { value: left }, Data::NewType { value: right }) => {
            differs(left, right, path)
        }
        (Data::Tuple { values: left }, Data::Tuple { values: right }) => {
            all_differ(left, right, path)
        }
        (Data::Struct { fields: left }, Data::Struct { fields: right }) => {
            left.len() != right.len()
                || left.iter().zip(right).any(|((name, l), (other, r))| {
                    name != other || step(path, &format!(".{name}"), |path| differs(l, r, path))
                })
        }
        _ => true,
    }
}

fn all_differ(left: &[Value<'_>], right: &[Value<'_>], path: &mut String) -> bool {
    left.len() != right.len()
        || left
            .iter()
            .zip(right)
            .enumerate()
            .any(|(nth, (l, r))| step(path, &format!(".{nth}"), |path| differs(l, r, path)))
}

/// Looks one step further; the path keeps the step only if something differs there.
fn step(path: &mut String, name: &str, look: impl FnOnce(&mut String) -> bool) -> bool {
    let before = path.len();
    path.push_str(name);
    let found = look(path);
    if !found {
        path.truncate(before);
    }
    found
}

fn same(left: &Value<'_>, right: &Value<'_>) -> bool {
    bytes(left) == bytes(right)
}

fn bytes(value: &Value<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    write(value, &mut out);
    out
}

/// One form for each value, whatever the order of its maps and sequences. Every part says its kind and its length, so that
/// two values have one form only if they are the same.
fn write(value: &Value<'_>, out: &mut Vec<u8>) {
    match value {
        Value::Unit => out.push(b'u'),
        Value::Bool(on) => out.extend([b'b', u8::from(*on)]),
        Value::Number(number) => write_number(*number, out),
        Value::Char(char) => part(b'c', &u32::from(*char).to_le_bytes(), out),
        Value::String(text) => part(b's', text.as_bytes(), out),
        Value::Bytes(bytes) => part(b'y', bytes, out),
        Value::Seq(values) => parts(b'q', sorted(values), out),
        Value::Map(pairs) => {
            let pair = |(key, value): &(Value<'_>, Value<'_>)| {
                let mut out = Vec::new();
                parts(b'p', vec![bytes(key), bytes(value)], &mut out);
                out
            };
            let mut pairs: Vec<_> = pairs.iter().map(pair).collect();
            pairs.sort_unstable();
            parts(b'm', pairs, out);
        }
        Value::Option(None) => out.push(b'-'),
        Value::Option(Some(value)) => part(b'+', &bytes(value), out),
        Value::Struct(value) => write_data(b'S', &[], &value.data, out),
        Value::Enum(value) => write_data(b'E', value.variant.as_bytes(), &value.data, out),
        Value::Tuple(values) => parts(b't', values.iter().map(bytes).collect(), out),
    }
}

fn write_data(kind: u8, variant: &[u8], data: &Data<'_>, out: &mut Vec<u8>) {
    let named = |(name, value): &(Cow<'static, str>, Value<'_>)| {
        let mut out = Vec::new();
        parts(b'f', vec![name.as_bytes().to_vec(), bytes(value)], &mut out);
        out
    };
    part(kind, variant, out);
    match data {
        Data::Unit => out.push(b'u'),
        Data::NewType { value } => part(b'n', &bytes(value), out),
        Data::Tuple { values } => parts(b't', values.iter().map(bytes).collect(), out),
        Data::Struct { fields } => parts(b'o', fields.iter().map(named).collect(), out),
    }
}

/// With its type, since an untagged enum tells its variants apart by that.
fn write_number(number: Number, out: &mut Vec<u8>) {
    match number {
        Number::I8(n) => part(b'1', &n.to_le_bytes(), out),
        Number::U8(n) => part(b'2', &n.to_le_bytes(), out),
        Number::I16(n) => part(b'3', &n.to_le_bytes(), out),
        Number::U16(n) => part(b'4', &n.to_le_bytes(), out),
        Number::I32(n) => part(b'5', &n.to_le_bytes(), out),
        Number::U32(n) => part(b'6', &n.to_le_bytes(), out),
        Number::I64(n) => part(b'7', &n.to_le_bytes(), out),
        Number::U64(n) => part(b'8', &n.to_le_bytes(), out),
        Number::I128(n) => part(b'9', &n.to_le_bytes(), out),
        Number::U128(n) => part(b'0', &n.to_le_bytes(), out),
        Number::F32(n) => part(b'f', &n.to_bits().to_le_bytes(), out),
        Number::F64(n) => part(b'd', &n.to_bits().to_le_bytes(), out),
        // A kind of number that serde does not have today.
        other => part(b'?', format!("{other:?}").as_bytes(), out),
    }
}

fn sorted(values: &[Value<'_>]) -> Vec<Vec<u8>> {
    let mut forms: Vec<_> = values.iter().map(bytes).collect();
    forms.sort_unstable();
    forms
}

fn part(kind: u8, content: &[u8], out: &mut Vec<u8>) {
    out.push(kind);
    out.extend((content.len() as u64).to_le_bytes());
    out.extend(content);
}

fn parts(kind: u8, contents: Vec<Vec<u8>>, out: &mut Vec<u8>) {
    out.push(kind);
    out.extend((contents.len() as u64).to_le_bytes());
    for content in contents {
        part(b'.', &content, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{BTreeMap, HashMap, HashSet};

    #[derive(Serialize)]
    struct Record {
        name: &'static str,
        shape: Shape,
    }

    #[derive(Serialize)]
    enum Shape {
        Empty,
        Pair(f64, Option<Option<u8>>),
    }

    fn record(x: f64, y: Option<Option<u8>>) -> Record {
        Record {
            name: "a",
            shape: Shape::Pair(x, y),
        }
    }

    #[test]
    fn the_path_leads_to_the_difference_and_quotes_nothing() {
        let base = record(0.0, Some(None));
        assert_eq!(difference(&base, &record(0.0, Some(None))), None);
        let signed = difference(&base, &record(-0.0, Some(None)));
        assert_eq!(signed.as_deref(), Some("the value.shape::Pair.0"));
        let shallow = difference(&base, &record(0.0, None));
        assert_eq!(shallow.as_deref(), Some("the value.shape::Pair.1"));
        let other = Record {
            name: "a",
            shape: Shape::Empty,
        };
        assert_eq!(
            difference(&base, &other).as_deref(),
            Some("the value.shape")
        );
    }

    #[test]
    fn floats_are_compared_by_their_bits() {
        assert_eq!(difference(&f64::NAN, &f64::NAN), None);
        assert!(difference(&0.0_f32, &-0.0_f32).is_some());
        assert!(difference(&Some(f64::NAN), &None).is_some());
    }

    #[test]
    fn the_order_of_maps_and_sets_does_not_count() {
        let ids = 0..200_u32;
        for _ in 0..20 {
            let (a, b): (HashSet<_>, HashSet<_>) = (ids.clone().collect(), ids.clone().collect());
            assert_eq!(difference(&a, &b), None);
            let pair = |n| (n, HashSet::from([n, n + 1, n + 2]));
            let (a, b): (HashMap<_, _>, HashMap<_, _>) = (
                ids.clone().map(pair).collect(),
                ids.clone().map(pair).collect(),
            );
            assert_eq!(difference(&a, &b), None);
        }
        let (a, b) = (HashSet::from([1, 2]), HashSet::from([1, 3]));
        assert!(difference(&a, &b).is_some());
        // Twice the same element is not once.
        assert!(difference(&vec![1, 1, 2], &vec![1, 2, 2]).is_some());
    }

    #[test]
    fn neighbours_do_not_run_together() {
        assert!(difference(&vec!["ab", "c"], &vec!["a", "bc"]).is_some());
        assert!(difference(&BTreeMap::from([("a", "b")]), &BTreeMap::from([("ab", "")])).is_some());
        assert!(difference(&("a", ()), &("", ())).is_some());
    }

    #[test]
    fn variants_of_an_untagged_enum_differ_by_the_type_of_their_number() {
        #[derive(Serialize)]
        #[serde(untagged)]
        enum Number {
            Small(u8),
            Large(u64),
            Text(&'static str),
        }
        assert!(difference(&Number::Small(5), &Number::Large(5)).is_some());
        assert!(difference(&Number::Small(5), &Number::Text("5")).is_some());
        assert_eq!(difference(&Number::Small(5), &Number::Small(5)), None);
    }
}
