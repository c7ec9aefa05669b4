//! Replies: what servers answer, and what they never should.

use super::*;

fn bulk(text: &str) -> Reply {
    Reply::Bytes(Bytes::copy_from_slice(text.as_bytes()))
}

fn inspect(items: [Reply; 6]) -> Inspection {
    inspection(Reply::Array(items.into())).unwrap()
}

#[test]
fn the_empty_string_is_a_value_and_nil_is_none() {
    assert_eq!(value(bulk("")).unwrap(), Some(Bytes::new()));
    assert_eq!(value(Reply::Nil).unwrap(), None);
}

#[test]
fn acquire_has_three_answers() {
    let of = |items: Vec<Reply>| acquired(Reply::Array(items)).unwrap();
    assert_eq!(
        of(vec![Reply::Int(1), bulk("v")]),
        Acquired::Value("v".into())
    );
    assert_eq!(of(vec![Reply::Int(2)]), Acquired::Granted);
    let held = |pttl| of(vec![Reply::Int(3), Reply::Int(pttl)]);
    let expires = |millis| Acquired::Held(Remaining::Expires(Duration::from_millis(millis)));
    assert_eq!(held(250), expires(250));
    assert_eq!(held(i64::MAX), expires(i64::MAX.unsigned_abs()));
    assert_eq!(held(-1), Acquired::Held(Remaining::Forever));
    assert_eq!(held(-2), expires(0));
}

#[test]
fn one_key_of_many_may_fail_alone() {
    let wrong = "WRONGTYPE Operation against a key";
    let granted = Reply::Array(vec![Reply::Int(2)]);
    let reply = Reply::Array(vec![granted, bulk(wrong), Reply::Int(7)]);
    let kinds = |fault: &Fault| fault.kind();
    let answers = acquired_many(reply, 3).unwrap();
    assert_eq!(answers[0], Ok(Acquired::Granted));
    assert_eq!(
        answers[1].as_ref().map_err(kinds),
        Err(ErrorKind::WrongType)
    );
    assert_eq!(answers[2].as_ref().map_err(kinds), Err(ErrorKind::Protocol));
    let reply = Reply::Array(vec![Reply::Int(1), Reply::Int(0), bulk("OOM no")]);
    let answers = fulfilled_many(reply, 3).unwrap();
    assert_eq!(answers[..2], [Ok(Fulfilled::Stored), Ok(Fulfilled::Lost)]);
    assert_eq!(
        answers[2].as_ref().map_err(kinds),
        Err(ErrorKind::OutOfMemory)
    );
    let reply = Reply::Array(vec![bulk("v"), Reply::Nil, Reply::Int(1)]);
    let answers = values(reply, 3).unwrap();
    assert_eq!(answers[..2], [Ok(Some("v".into())), Ok(None)]);
    assert_eq!(answers[2].as_ref().map_err(kinds), Err(ErrorKind::Protocol));
}

#[test]
fn nonsense_is_a_protocol_error() {
    let nonsense = [
        Reply::Nil,
        bulk("OK"),
        Reply::Int(7),
        Reply::Array(vec![]),
        Reply::Array(vec![Reply::Int(9)]),
        Reply::Array(vec![Reply::Int(1)]),
        Reply::Array(vec![Reply::Int(1), Reply::Array(vec![])]),
        Reply::Array(vec![Reply::Nil; 6]),
        Reply::Other("a map"),
    ];
    for reply in nonsense {
        let faults = [
            acquired(reply.clone()).err(),
            fulfilled(reply.clone()).err(),
            renewed(reply.clone(), 3).err(),
            values(reply.clone(), 3).err(),
            acquired_many(reply.clone(), 3).err(),
            fulfilled_many(reply.clone(), 3).err(),
            timed(reply.clone(), 4).err(),
            inspection(reply.clone()).err(),
        ];
        for fault in faults {
            assert_eq!(
                fault.map(|f| f.kind()),
                Some(ErrorKind::Protocol),
                "{reply:?}"
            );
        }
    }
    assert!(value(Reply::Int(1)).is_err() && value(Reply::Array(vec![])).is_err());
}

#[test]
fn answers_to_renewals_are_counted() {
    let two = Reply::Array(vec![Reply::Int(1), Reply::Int(0)]);
    assert_eq!(renewed(two.clone(), 2).unwrap(), [true, false]);
    assert!(renewed(two, 3).is_err());
}

#[test]
fn values_come_with_their_times() {
    let items = vec![
        bulk("v"),
        Reply::Int(250),
        Reply::Nil,
        Reply::Int(-2),
        bulk(""),
        Reply::Int(-1),
    ];
    let found = timed(Reply::Array(items.clone()), 3).unwrap();
    let remaining = Remaining::Expires(Duration::from_millis(250));
    let value = "v".into();
    assert_eq!(found[0], Some(Timed { value, remaining }));
    assert_eq!(found[1], None);
    assert_eq!(
        found[2].as_ref().map(|t| t.remaining),
        Some(Remaining::Forever)
    );
    assert!(timed(Reply::Array(items), 2).is_err());
}

#[test]
fn nothing_stored_is_nothing_odd() {
    let nothing = [
        bulk("none"),
        Reply::Int(-1),
        Reply::Int(-2),
        bulk("none"),
        bulk(""),
        Reply::Int(-2),
    ];
    assert_eq!(inspect(nothing), Inspection::default());
}

#[test]
fn oddities_are_told() {
    let found = inspect([
        bulk("list"),
        Reply::Int(-1),
        Reply::Int(-1),
        bulk("string"),
        bulk("an ancestor's token"),
        Reply::Int(100_000_000),
    ]);
    assert_eq!(found.oddities.len(), 3, "{:?}", found.oddities);
    assert!(found.oddities[0].contains("list") && found.oddities[2].contains("27 hours"));
    assert_eq!(found.lock.unwrap().holder, "an ancestor's token");
    let found = inspect([
        bulk("string"),
        Reply::Int(3),
        Reply::Int(5),
        bulk("hash"),
        bulk(""),
        Reply::Int(-1),
    ]);
    assert_eq!(found.oddities.len(), 2, "{:?}", found.oddities);
    assert_eq!(found.value.unwrap().bytes, 3);
}

#[test]
fn repeated_notices_are_counted_and_go_on() {
    let reply = |done, published| Reply::Array(vec![Reply::Int(done), Reply::Int(published)]);
    assert_eq!(repeated(reply(3, 2), 3), Ok((3, 2)));
    assert_eq!(repeated(reply(1, 1), 3), Ok((1, 1)));
    // Who goes on from there must come to an end.
    for reply in [reply(0, 0), reply(4, 4), reply(-1, 0), Reply::Nil] {
        assert_eq!(repeated(reply, 3).unwrap_err().kind(), ErrorKind::Protocol);
    }
}
