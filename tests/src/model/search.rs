//! The search: every state that a model can get into, breadth first, so that what breaks a promise is
//! shown by the shortest path to it.
//!
//! States are known by a 64-bit hash: two different ones of a million share one with a probability of
//! about 3e-8. Hashes have no random seed, so a search finds the same each time.

use std::collections::hash_map::{DefaultHasher, Entry};
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::hash::{Hash, Hasher};

/// More than any scenario should need. A model without an end would fill the memory.
const MOST_STATES: usize = 6_000_000;

/// Deeper than any run can be that comes to an end.
const DEEPEST: u32 = 400;

/// What is searched.
pub trait Model {
    /// A state. What is not in its hash is not told apart.
    type State: Hash;
    /// A step from one state to the next.
    type Action: Copy;

    /// Where it begins.
    fn start(&self) -> Self::State;

    /// Adds what can happen next.
    fn actions(&self, state: &Self::State, actions: &mut Vec<Self::Action>);

    /// What comes of it.
    ///
    /// # Errors
    /// If the step itself breaks a promise.
    fn next(&self, state: &Self::State, action: Self::Action) -> Result<Self::State, Broken>;

    /// Looks at a state.
    ///
    /// # Errors
    /// If it breaks a promise.
    fn check(&self, state: &Self::State) -> Result<(), Broken>;

    /// Names what is remarkable in the state, to show afterwards that it was reached.
    fn marks(&self, state: &Self::State, marks: &mut BTreeSet<&'static str>);
}

/// A promise that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// Its name: `R1` and so on.
    pub promise: &'static str,
    /// What happened.
    pub what: String,
}

impl Broken {
    /// A promise, and what happened.
    #[must_use]
    pub fn new(promise: &'static str, what: impl Into<String>) -> Self {
        let what = what.into();
        Self { promise, what }
    }
}

/// What a search found.
#[derive(Debug, Clone)]
pub struct Found<A> {
    /// Different states.
    pub states: usize,
    /// Steps between them.
    pub transitions: usize,
    /// The greatest number of steps that the shortest way to a state has.
    pub depth: u32,
    /// States from which nothing goes on.
    pub ends: usize,
    /// Everything remarkable that was reached.
    pub marks: BTreeSet<&'static str>,
    /// The first promise that was broken, and the shortest way there.
    pub broken: Option<(Broken, Vec<A>)>,
}

/// Searches all of it, or until a promise breaks.
pub fn search<M: Model>(model: &M) -> Found<M::Action> {
    Search::new(model).run()
}

struct Search<'a, M: Model> {
    model: &'a M,
    numbers: HashMap<u64, u32>,
    /// How each state was reached first; none for the start.
    came: Vec<Option<(u32, M::Action)>>,
    steps: Vec<(u32, u32)>,
    ahead: VecDeque<(u32, u32, M::State)>,
    found: Found<M::Action>,
}

impl<'a, M: Model> Search<'a, M> {
    fn new(model: &'a M) -> Self {
        Self {
            model,
            numbers: HashMap::new(),
            came: Vec::new(),
            steps: Vec::new(),
            ahead: VecDeque::new(),
            found: Found {
                states: 0,
                transitions: 0,
                depth: 0,
                ends: 0,
                marks: BTreeSet::new(),
                broken: None,
            },
        }
    }

    fn run(mut self) -> Found<M::Action> {
        let broken = self.explore().err();
        self.found.states = self.came.len();
        self.found.transitions = self.steps.len();
        self.found.broken = broken.or_else(|| self.circle());
        self.found
    }

    fn explore(&mut self) -> Result<(), (Broken, Vec<M::Action>)> {
        self.reach(self.model.start(), None, 0)?;
        let mut actions = Vec::new();
        while let Some((from, depth, state)) = self.ahead.pop_front() {
            actions.clear();
            self.model.actions(&state, &mut actions);
            self.found.ends += usize::from(actions.is_empty());
            for &action in &actions {
                let next = self.model.next(&state, action);
                let next = next.map_err(|broken| self.led(broken, Some((from, action))))?;
                self.reach(next, Some((from, action)), depth + 1)?;
            }
        }
        Ok(())
    }

    fn reach(
        &mut self,
        state: M::State,
        by: Option<(u32, M::Action)>,
        depth: u32,
    ) -> Result<(), (Broken, Vec<M::Action>)> {
        let new = u32::try_from(self.came.len()).unwrap_or(u32::MAX);
        let mut hasher = DefaultHasher::new();
        state.hash(&mut hasher);
        let number = match self.numbers.entry(hasher.finish()) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(vacant) => *vacant.insert(new),
        };
        if let Some((from, _)) = by {
            self.steps.push((from, number));
        }
        if number < new {
            return Ok(());
        }
        self.came.push(by);
        self.found.depth = self.found.depth.max(depth);
        let checked = self.model.check(&state);
        checked.map_err(|broken| self.led(broken, by))?;
        if depth > DEEPEST || self.came.len() > MOST_STATES {
            let endless = Broken::new("R2", "there is no end of it");
            return Err(self.led(endless, by));
        }
        self.model.marks(&state, &mut self.found.marks);
        self.ahead.push_back((number, depth, state));
        Ok(())
    }

    /// The way to a step, itself included.
    fn led(&self, broken: Broken, mut by: Option<(u32, M::Action)>) -> (Broken, Vec<M::Action>) {
        let mut path = Vec::new();
        while let Some((from, action)) = by {
            path.push(action);
            by = self.came[from as usize];
        }
        path.reverse();
        (broken, path)
    }

    /// A circle is a run that never ends. States from which nothing leads on are taken off, then those
    /// that led to them alone, and so on: what stays leads to a circle.
    fn circle(&self) -> Option<(Broken, Vec<M::Action>)> {
        let count = self.came.len();
        let mut leaving = vec![0_u32; count];
        // Steps by where they lead to, one after the other, each state's beginning where the last ends.
        let mut begins = vec![0_u32; count + 1];
        for &(from, to) in &self.steps {
            leaving[from as usize] += 1;
            begins[to as usize + 1] += 1;
        }
        for i in 0..count {
            begins[i + 1] += begins[i];
        }
        let (mut at, mut into) = (begins.clone(), vec![0_u32; self.steps.len()]);
        for &(from, to) in &self.steps {
            into[at[to as usize] as usize] = from;
            at[to as usize] += 1;
        }
        let mut over: Vec<usize> = (0..count).filter(|&i| leaving[i] == 0).collect();
        let mut taken = 0;
        while let Some(state) = over.pop() {
            taken += 1;
            for &from in &into[begins[state] as usize..begins[state + 1] as usize] {
                leaving[from as usize] -= 1;
                if leaving[from as usize] == 0 {
                    over.push(from as usize);
                }
            }
        }
        // The deepest of them, since those before only lead there.
        let stuck = (0..count).rev().find(|&i| leaving[i] > 0)?;
        debug_assert!(taken < count);
        let endless = Broken::new("R2", "from here it can go round in a circle for ever");
        Some(self.led(endless, self.came[stuck]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts in steps of one and two up to `last`; from `back`, it may go back to 1.
    struct Count {
        last: u8,
        back: Option<u8>,
        forbidden: u8,
    }

    impl Model for Count {
        type State = u8;
        type Action = u8;

        fn start(&self) -> u8 {
            0
        }

        fn actions(&self, state: &u8, actions: &mut Vec<u8>) {
            actions.extend([1, 2].iter().filter(|step| *state + **step <= self.last));
            if self.back == Some(*state) {
                actions.push(0);
            }
        }

        fn next(&self, state: &u8, action: u8) -> Result<u8, Broken> {
            Ok(if action == 0 { 1 } else { state + action })
        }

        fn check(&self, state: &u8) -> Result<(), Broken> {
            match *state == self.forbidden {
                true => Err(Broken::new("never", state.to_string())),
                false => Ok(()),
            }
        }

        fn marks(&self, state: &u8, marks: &mut BTreeSet<&'static str>) {
            if *state == 3 {
                marks.insert("three");
            }
        }
    }

    #[test]
    fn every_state_and_step_is_counted_once() {
        let found = search(&Count {
            last: 4,
            back: None,
            forbidden: 9,
        });
        assert_eq!((found.states, found.transitions), (5, 7));
        assert_eq!((found.depth, found.ends), (2, 1));
        assert!(found.marks.contains("three") && found.broken.is_none());
    }

    #[test]
    fn the_shortest_way_to_what_is_forbidden_is_told() {
        let found = search(&Count {
            last: 9,
            back: None,
            forbidden: 5,
        });
        let (broken, path) = found.broken.unwrap();
        assert_eq!((broken.promise, path.len()), ("never", 3));
        assert_eq!(path.iter().sum::<u8>(), 5);
    }

    #[test]
    fn a_circle_is_found() {
        let found = search(&Count {
            last: 6,
            back: Some(4),
            forbidden: 9,
        });
        let (broken, _) = found.broken.unwrap();
        assert_eq!(broken.promise, "R2");
        assert!(broken.what.contains("circle"));
    }
}
