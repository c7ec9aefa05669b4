//! Errors: typed, one line, with operation and key.

use std::sync::Arc;

use memolock_core::{Backend, BackendError, ErrorKind, Key, Notice, Operation, PutMode, Renewal};

use super::case::{Stop, Verdict, cases, ensure, equal};
use super::trial::{LEASE, TTL, Trial, bytes, token};

cases!("errors":
    they_name_operation_and_key,
    they_are_one_line_whatever_the_key,
);

/// Every operation, and what came of it.
pub(crate) async fn every_call(
    client: &dyn Backend,
    key: &Key,
) -> Vec<(Operation, Result<(), BackendError>)> {
    let renewal = Renewal {
        key: key.clone(),
        token: token(),
        lease: LEASE,
    };
    // At once: where each runs into its time-out, they do so together.
    let (get, acquire, fulfil, renew, release, put, invalidate, inspect, subscribe) = tokio::join!(
        client.get(key),
        client.acquire(key, token(), LEASE),
        client.fulfil(key, token(), bytes("v"), TTL),
        client.renew(std::slice::from_ref(&renewal)),
        client.release(key, token(), Some(Notice::Released)),
        client.put(key, bytes("v"), TTL, PutMode::Override),
        client.invalidate(key),
        client.inspect(key),
        client.subscribe(key),
    );
    vec![
        (Operation::Get, get.map(drop)),
        (Operation::Acquire, acquire.map(drop)),
        (Operation::Fulfil, fulfil.map(drop)),
        (Operation::Renew, renew.map(drop)),
        (Operation::Release, release.map(drop)),
        (Operation::Put, put),
        (Operation::Invalidate, invalidate),
        (Operation::Inspect, inspect.map(drop)),
        (Operation::Subscribe, subscribe.map(drop)),
    ]
}

/// An error says what failed and where. A renewal is of many keys, so it need not name one.
pub(crate) fn names(error: &BackendError, operation: Operation, key: &Key) -> Verdict {
    equal!(
        error.operation(),
        operation,
        "the operation that an error names"
    );
    if operation != Operation::Renew || error.key().is_some() {
        equal!(
            error.key(),
            Some(key),
            "the key that an error of {operation} names"
        );
    }
    let line = error.to_string();
    ensure!(
        !line.contains(['\n', '\r']) && line.chars().count() < 1000,
        "an error of {operation} is not one readable line: {line:?}"
    );
    Ok(())
}

/// A closed client: there every call fails, in every backend.
async fn closed(t: &Trial) -> Verdict<Arc<dyn Backend>> {
    let client = t.spare().await?;
    client.close().await;
    Ok(client)
}

async fn they_name_operation_and_key(t: &Trial) -> Verdict {
    let (client, key) = (closed(t).await?, t.key("kristoff"));
    for (operation, outcome) in every_call(&*client, &key).await {
        let Err(error) = outcome else {
            return Err(Stop::failed(format!(
                "{operation} of a closed backend succeeds"
            )));
        };
        names(&error, operation, &key)?;
        equal!(
            error.kind(),
            ErrorKind::Closed,
            "the kind that {operation} gives"
        );
    }
    Ok(())
}

async fn they_are_one_line_whatever_the_key(t: &Trial) -> Verdict {
    let client = closed(t).await?;
    let long = format!("a\r\nb\0{}", "x\n".repeat(1000));
    let key = t.key(&long);
    for (operation, outcome) in every_call(&*client, &key).await {
        if let Err(error) = outcome {
            names(&error, operation, &key)?;
        }
    }
    Ok(())
}
