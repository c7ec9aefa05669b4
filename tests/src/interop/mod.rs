//! Two processes of ours, over any two adapters, at one table.

mod meeting;
mod member;
mod scenarios;
mod table;
mod wire;

pub use meeting::Meeting;
pub use member::{Ending, Member};
pub use scenarios::{Outcome, SCENARIOS, Scenario};
pub use table::Table;
pub use wire::{Order, Told};
