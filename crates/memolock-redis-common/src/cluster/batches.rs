//! Many ids in one call: one call for each slot, sent together.

use std::collections::HashMap;

use memolock_core::redis::calls::LOCKS_PER_CALL;

/// The places in `items` of those in each slot, in order.
pub(crate) fn by_slot<T>(items: &[T], slot: impl Fn(&T) -> u16) -> Vec<(u16, Vec<usize>)> {
    let mut groups: Vec<(u16, Vec<usize>)> = Vec::new();
    let mut known: HashMap<u16, usize> = HashMap::with_capacity(items.len());
    for (at, item) in items.iter().enumerate() {
        let slot = slot(item);
        let group = *known.entry(slot).or_insert_with(|| {
            groups.push((slot, Vec::new()));
            groups.len() - 1
        });
        groups[group].1.push(at);
    }
    groups
}

/// The same in parts that one call bears.
pub(crate) fn chunked(
    groups: impl IntoIterator<Item = (u16, Vec<usize>)>,
) -> impl Iterator<Item = (u16, Vec<usize>)> {
    groups.into_iter().flat_map(|(slot, places)| {
        let parts = places.chunks(LOCKS_PER_CALL);
        let parts: Vec<_> = parts.map(|at| (slot, at.to_vec())).collect();
        parts
    })
}

/// The items at these places.
pub(crate) fn pick<T: Clone>(items: &[T], at: &[usize]) -> Vec<T> {
    at.iter().map(|at| items[*at].clone()).collect()
}

/// Answers to groups, each with its places, in the order of the items. A place that got none gets `missing`.
pub(crate) fn in_order<A>(
    items: usize,
    groups: impl IntoIterator<Item = (Vec<usize>, Vec<A>)>,
    missing: impl Fn(usize) -> A,
) -> Vec<A> {
    let mut answers: Vec<Option<A>> = (0..items).map(|_| None).collect();
    for (places, some) in groups {
        for (at, answer) in places.into_iter().zip(some) {
            answers[at] = Some(answer);
        }
    }
    let answers = answers.into_iter().enumerate();
    answers
        .map(|(at, answer)| answer.unwrap_or_else(|| missing(at)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_grouped_and_answers_are_in_order() {
        let items = [5_u16, 7, 5, 9, 7];
        let groups = by_slot(&items, |item| *item);
        assert_eq!(groups, [(5, vec![0, 2]), (7, vec![1, 4]), (9, vec![3])]);
        assert_eq!(pick(&items, &groups[1].1), [7, 7]);
        let answers = groups.into_iter().map(|(slot, at)| {
            let answers = at.iter().map(|at| (slot, *at)).collect::<Vec<_>>();
            (at, answers)
        });
        let answers = in_order(5, answers, |_| unreachable!());
        assert_eq!(answers, [(5, 0), (7, 1), (5, 2), (9, 3), (7, 4)]);
    }

    #[test]
    fn a_large_group_is_more_than_one_call() {
        let places: Vec<usize> = (0..LOCKS_PER_CALL + 1).collect();
        let groups: Vec<_> = chunked([(1, places), (2, vec![7])]).collect();
        let sizes: Vec<_> = groups.iter().map(|(slot, at)| (*slot, at.len())).collect();
        assert_eq!(sizes, [(1, LOCKS_PER_CALL), (1, 1), (2, 1)]);
        assert_eq!((groups[1].1[0], groups[2].1[0]), (LOCKS_PER_CALL, 7));
    }

    #[test]
    fn a_place_without_an_answer_gets_one() {
        let answers = in_order(2, [(vec![1], vec!['a']), (vec![0], vec![])], |_| '?');
        assert_eq!(answers, ['?', 'a']);
    }
}
