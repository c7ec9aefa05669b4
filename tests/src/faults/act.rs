//! What is done to a stage: a future of its own, as a plain function makes it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use super::stage::Stage;

/// It panics where it cannot be done.
pub(super) type Act = Pin<Box<dyn Future<Output = ()> + Send>>;

/// An act that is nothing: the fault is over at once, or it is what the actors do themselves.
pub(super) fn nothing(_: Arc<Stage>) -> Act {
    Box::pin(async {})
}

/// Makes a function that a fault can name of an async block over the stage.
macro_rules! act {
    ($(#[$doc:meta])* $name:ident, |$stage:ident| $body:expr) => {
        $(#[$doc])*
        pub(in crate::faults) fn $name(
            $stage: std::sync::Arc<crate::faults::stage::Stage>,
        ) -> crate::faults::act::Act {
            Box::pin(async move { $body })
        }
    };
}

pub(super) use act;
