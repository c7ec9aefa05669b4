//! The holder: it computes when the fault strikes, in a process of its own unless its value is too large for a pipe.

use std::path::Path;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::fault::Fault;
use super::run::settings;
use super::stage::{HELD, Stage, TAG};
use crate::interop::Member;
use crate::{Call, Ours, end_of};

/// Values above it stay in this process.
const FOR_A_PIPE: usize = 64 * 1024;

/// What the holder is. It lives until it is dropped, for it may have a value to store when its caller has gone.
pub(super) enum Holder {
    /// A process, and its call.
    Process(Box<Member>, u64),
    /// A task: what ends its compute, and its call; its client lives in that.
    Task(Option<Pending>),
}

type Pending = (oneshot::Sender<Result<String, String>>, Call);

impl Holder {
    /// It computes when this returns.
    pub(super) async fn start(fault: &Fault, stage: &Stage, program: &Path) -> Self {
        if fault.bytes > FOR_A_PIPE {
            let backend = stage.connect(fault).await;
            let ours = Ours::over(backend, TAG, settings(fault)).await;
            return Self::Task(Some(ours.hold(HELD).await));
        }
        let (adapter, ground, lease) = (stage.adapter, &stage.ground, fault.lease);
        let kind = fault.notifications;
        let mut member = Member::start_hasty(program, adapter, ground, TAG, lease, kind).await;
        let call = member.ask(HELD).await;
        member.computes(call).await;
        stage.holds(member.pid().expect("it was not waited for"));
        Self::Process(Box::new(member), call)
    }

    /// Ends the compute with `value`: what its caller got, and after how long.
    pub(super) async fn finish(&mut self, value: &str) -> (String, Duration) {
        let began = Instant::now();
        let got = match self {
            Self::Process(member, call) => {
                member.end(*call, Ok(value)).await;
                let ended = member.ended(*call).await;
                let ended = ended.unwrap_or_else(|e| panic!("the holder's caller: {e}"));
                ended.map(|(value, _)| value).unwrap_or_default()
            }
            Self::Task(pending) => {
                let (end, call) = pending.take().expect("it ends once");
                end.send(Ok(value.to_owned())).expect("it waits for that");
                let got = end_of(call).await;
                let got = got.unwrap_or_else(|e| panic!("the holder's caller: {e}"));
                (*got).clone()
            }
        };
        (got, began.elapsed())
    }
}
