//! All nodes asked at once, and what they agree on.

use futures_util::future::join_all;

use super::slot::SLOTS;
use super::view::{Row, View};
use crate::{ServerError, TestServer};

/// What each node says, in their order.
#[derive(Debug)]
pub(super) struct Survey<'a> {
    nodes: &'a [TestServer],
    views: Vec<Result<View, ServerError>>,
}

impl<'a> Survey<'a> {
    pub(super) async fn of(nodes: &'a [TestServer]) -> Self {
        let views = join_all(nodes.iter().map(|node| View::ask(node.address()))).await;
        Self { nodes, views }
    }

    pub(super) fn view(&self, index: usize) -> Option<&View> {
        self.views.get(index)?.as_ref().ok()
    }

    pub(super) fn own(&self, index: usize) -> Option<&Row> {
        self.view(index)?.own()
    }

    fn answers(&self) -> impl Iterator<Item = &View> {
        self.views.iter().filter_map(|view| view.as_ref().ok())
    }

    /// The newest word on who has a slot: the claim of the highest epoch, whoever tells it.
    pub(super) fn owner(&self, slot: u16) -> Option<usize> {
        let rows = self.answers().flat_map(|view| &view.rows);
        let claims = rows.filter(|row| row.owns(slot) && !row.has("fail"));
        self.index(claims.max_by_key(|row| row.epoch)?)
    }

    /// Which of our nodes a row is about.
    pub(super) fn index(&self, row: &Row) -> Option<usize> {
        self.nodes
            .iter()
            .position(|node| node.address().place() == row.place)
    }

    pub(super) fn id(&self, index: usize) -> Option<&str> {
        if let Some(own) = self.own(index) {
            return Some(&own.id);
        }
        // It does not answer, so others tell.
        let rows = self.answers().flat_map(|view| &view.rows);
        let mut of_it = rows.filter(|row| self.index(row) == Some(index));
        of_it.next().map(|row| &*row.id)
    }

    /// The nodes that have not heard of all others. Those that do not answer are among them if `all` of
    /// them should, and else nobody has to reach them.
    pub(super) fn strangers(&self, all: bool) -> Vec<usize> {
        let silent = |row: &Row| {
            self.index(row)
                .is_none_or(|index| self.view(index).is_none())
        };
        let counts = |row: &&Row| !row.has("handshake") && (row.linked || (!all && silent(row)));
        let knows_all = |view: &View| view.rows.iter().filter(counts).count() >= self.nodes.len();
        (0..self.nodes.len())
            .filter(|index| !self.view(*index).map_or(!all, knows_all))
            .collect()
    }

    /// What keeps the cluster from being whole, or `None`. A node that does not answer is in order once
    /// all others hold it to have failed, and serve what it had.
    pub(super) fn trouble(&self) -> Option<String> {
        let Some(first) = self.answers().next() else {
            return Some("no node answers".into());
        };
        for (index, view) in self.views.iter().enumerate() {
            let place = self.nodes[index].address().place();
            match view {
                Ok(view) => {
                    if let Some(why) = self.unsettled(view, first) {
                        return Some(format!("{place} {why}"));
                    }
                }
                Err(error) => {
                    let known = |view: &View| {
                        let mut of_it = view.rows.iter().filter(|row| row.place == place);
                        of_it.any(|row| row.has("fail"))
                    };
                    if !self.answers().all(known) {
                        return Some(error.to_string());
                    }
                }
            }
        }
        None
    }

    fn unsettled(&self, view: &View, first: &View) -> Option<String> {
        if !view.ok {
            return Some("says cluster_state:fail".into());
        }
        if view.essence() != first.essence() {
            return Some("sees another cluster than others do".into());
        }
        let covered = view.covered();
        if covered != usize::from(SLOTS) {
            return Some(format!("knows live masters of {covered} slots"));
        }
        if !view.in_step {
            return Some("is not yet in step with its master".into());
        }
        for row in &view.rows {
            if !row.open.is_empty() {
                return Some(format!("has an open slot: {}", row.open.join(" ")));
            }
            let silent = self.index(row).is_none_or(|i| self.views[i].is_err());
            let suspected = ["fail", "fail?", "handshake", "noaddr"]
                .iter()
                .any(|flag| row.has(flag));
            if !silent && (suspected || !row.linked) {
                return Some(format!("is not linked to {}", row.place));
            }
        }
        None
    }
}
