//! Facts of many processes, put in the order in which they happened.

use std::collections::{BTreeMap, VecDeque};

use super::clock::Micros;
use super::wire::Fact;

/// What comes in about a source.
#[derive(Debug)]
pub(crate) enum Intake {
    /// There will be facts of this process, none of them older than this.
    Enlisted(u32, Micros),
    /// One.
    Fact(u32, Fact),
    /// There will be no more.
    Over(u32),
}

/// Holds facts back until no older one can come from anybody.
#[derive(Debug, Default)]
pub(crate) struct Merge {
    sources: BTreeMap<u32, Source>,
}

#[derive(Debug)]
struct Source {
    facts: VecDeque<Fact>,
    /// Nothing older comes any more.
    mark: Micros,
    over: bool,
}

impl Merge {
    /// Takes what came in. Facts of one process come in their order.
    pub(crate) fn add(&mut self, intake: Intake) {
        match intake {
            Intake::Enlisted(process, mark) => {
                let source = Source {
                    facts: VecDeque::new(),
                    mark,
                    over: false,
                };
                self.sources.insert(process, source);
            }
            Intake::Fact(process, fact) => {
                if let Some(source) = self.sources.get_mut(&process) {
                    source.mark = fact.at;
                    source.facts.push_back(fact);
                }
            }
            Intake::Over(process) => {
                if let Some(source) = self.sources.get_mut(&process) {
                    source.over = true;
                }
            }
        }
    }

    /// The next fact of all, as far as that can be known.
    pub(crate) fn next_fact(&mut self) -> Option<(u32, Fact)> {
        self.sources
            .retain(|_, source| !(source.over && source.facts.is_empty()));
        let oldest = |source: &Source| source.facts.front().map(|fact| fact.at);
        let (&process, at) = self
            .sources
            .iter()
            .filter_map(|(process, source)| Some((process, oldest(source)?)))
            .min_by_key(|(_, at)| *at)?;
        let certain = self
            .sources
            .values()
            .all(|source| source.over || source.mark >= at);
        if !certain {
            return None;
        }
        let fact = self.sources.get_mut(&process)?.facts.pop_front()?;
        Some((process, fact))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::soak::wire::What;

    fn fact(at: Micros) -> Fact {
        let what = What::Hello;
        Fact { at, what }
    }

    fn drained(merge: &mut Merge) -> Vec<(u32, Micros)> {
        let facts = std::iter::from_fn(|| merge.next_fact());
        facts.map(|(process, fact)| (process, fact.at)).collect()
    }

    #[test]
    fn facts_wait_for_older_ones_of_others() {
        let mut merge = Merge::default();
        merge.add(Intake::Enlisted(1, 0));
        merge.add(Intake::Enlisted(2, 0));
        for at in [10, 30] {
            merge.add(Intake::Fact(1, fact(at)));
        }
        assert_eq!(drained(&mut merge), []);
        merge.add(Intake::Fact(2, fact(20)));
        assert_eq!(drained(&mut merge), [(1, 10), (2, 20)]);
        merge.add(Intake::Over(2));
        assert_eq!(drained(&mut merge), [(1, 30)]);
    }

    #[test]
    fn a_newcomer_is_waited_for_and_the_dead_are_not() {
        let mut merge = Merge::default();
        merge.add(Intake::Enlisted(1, 0));
        merge.add(Intake::Enlisted(2, 15));
        merge.add(Intake::Fact(1, fact(10)));
        merge.add(Intake::Fact(1, fact(20)));
        assert_eq!(drained(&mut merge), [(1, 10)]);
        merge.add(Intake::Fact(2, fact(16)));
        merge.add(Intake::Over(2));
        assert_eq!(drained(&mut merge), [(2, 16), (1, 20)]);
    }
}
