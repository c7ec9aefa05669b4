//! Which server a connection leads to, and as whom.

use memolock_core::redis::Fault;
use redis::Cmd;
use redis::aio::ConnectionLike;

use crate::error::fault;

/// Which run of which server it is.
pub(super) async fn run_id(connection: &mut impl ConnectionLike) -> Result<Option<String>, Fault> {
    let mut info = redis::cmd("INFO");
    info.arg("server");
    let text = told(&info, connection).await?.unwrap_or_default();
    let id = text.lines().find_map(|line| line.strip_prefix("run_id:"));
    Ok(id.map(str::to_owned))
}

/// As whom it is logged in.
pub(super) async fn user(connection: &mut impl ConnectionLike) -> Result<Option<String>, Fault> {
    let mut whoami = redis::cmd("ACL");
    whoami.arg("WHOAMI");
    told(&whoami, connection).await
}

/// What a server says of itself; `None` if it will not say. It serves us all the same.
async fn told(
    command: &Cmd,
    connection: &mut impl ConnectionLike,
) -> Result<Option<String>, Fault> {
    match command.query_async(connection).await {
        Ok(text) => Ok(Some(text)),
        Err(error) => match fault(error) {
            lost if lost.is_passing() => Err(lost),
            _ => Ok(None),
        },
    }
}

/// Whether both are known and not the same.
pub(super) fn differ((theirs, ours): &(Option<String>, Option<String>)) -> bool {
    theirs.is_some() && ours.is_some() && theirs != ours
}
