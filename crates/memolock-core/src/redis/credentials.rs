//! Users and passwords that change while a service runs, and where they come from.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use super::{Address, Fault};
use crate::ErrorKind;

/// A user and a password, as a provider gives them. Both may hold every character.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    user: Option<String>,
    password: String,
}

impl Credentials {
    /// A user of an ACL and its password. With an empty password the server lets in a user that has `nopass`, and no other;
    /// it never takes the connection for that of the default user.
    #[must_use]
    pub fn new(user: impl Into<String>, password: impl Into<String>) -> Self {
        let user = Some(user.into()).filter(|user: &String| !user.is_empty());
        Self {
            user,
            ..Self::password(password)
        }
    }

    /// The password of the default user: `requirepass`.
    #[must_use]
    pub fn password(password: impl Into<String>) -> Self {
        let password = password.into();
        Self {
            user: None,
            password,
        }
    }
}

/// Neither user nor password.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(***)")
    }
}

type Asking = Pin<Box<dyn Future<Output = Result<Credentials, Fault>> + Send>>;

/// Whom to ask for credentials before each connection is made.
#[derive(Clone)]
pub struct CredentialsProvider(Arc<dyn Fn() -> Asking + Send + Sync>);

impl CredentialsProvider {
    /// A provider that calls `ask`. Its error is told as it is, so it holds no secret.
    pub fn new<F, Fut, E>(ask: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Credentials, E>> + Send + 'static,
        E: fmt::Display,
    {
        Self(Arc::new(move || {
            let asking = ask();
            Box::pin(async move {
                asking.await.map_err(|error| {
                    // One line, whatever its author wrote.
                    let said = error.to_string().replace(char::is_control, " ");
                    let detail = format!("the provider of credentials failed: {said}");
                    Fault::new(ErrorKind::Unavailable, detail)
                })
            })
        }))
    }

    /// The address with credentials that were asked for now.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] if the provider has none.
    pub async fn identify(&self, address: &Address) -> Result<Address, Fault> {
        let Credentials { user, password } = (self.0)().await?;
        let password = Some(password).filter(|password| !password.is_empty());
        Ok(address.clone().with_login(user, password))
    }
}

/// Nothing of what it knows.
impl fmt::Debug for CredentialsProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CredentialsProvider")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible as Never;
    use std::future::ready;
    use std::task::{Context, Poll, Waker};

    fn identified(provider: &CredentialsProvider) -> Result<Address, Fault> {
        let address = Address::parse("redis://ann:old@h/2").unwrap();
        let mut asking = Box::pin(provider.identify(&address));
        match asking
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
        {
            Poll::Ready(outcome) => outcome,
            Poll::Pending => panic!("it is ready at once"),
        }
    }

    #[test]
    fn what_is_provided_replaces_what_the_url_says() {
        let full = Credentials::new("bob", "new");
        let provider = CredentialsProvider::new(move || ready(Ok::<_, Never>(full.clone())));
        let address = identified(&provider).unwrap();
        assert_eq!(
            (address.user(), address.password()),
            (Some("bob"), Some("new"))
        );
        assert_eq!(
            (address.to_string().as_str(), address.database()),
            ("h:6379", 2)
        );
        let bare = || ready(Ok::<_, Never>(Credentials::password("new")));
        let address = identified(&CredentialsProvider::new(bare)).unwrap();
        assert_eq!((address.user(), address.password()), (None, Some("new")));
    }

    #[test]
    fn a_user_without_a_password_is_not_nobody() {
        let bare = || ready(Ok::<_, Never>(Credentials::new("bob", "")));
        let address = identified(&CredentialsProvider::new(bare)).unwrap();
        assert_eq!(
            (address.user(), address.password()),
            (Some("bob"), Some(""))
        );
        let nobody = || ready(Ok::<_, Never>(Credentials::password("")));
        let address = identified(&CredentialsProvider::new(nobody)).unwrap();
        assert_eq!((address.user(), address.password()), (None, None));
    }

    #[test]
    fn a_provider_that_fails_is_one_line() {
        let provider = CredentialsProvider::new(|| ready(Err::<Credentials, _>("no\nvault")));
        let fault = identified(&provider).unwrap_err();
        assert_eq!(fault.kind(), ErrorKind::Unavailable);
        assert_eq!(
            fault.detail(),
            "the provider of credentials failed: no vault"
        );
    }

    #[test]
    fn debug_shows_nothing() {
        let shown = format!("{:?}", Credentials::new("hunter1", "hunter2"));
        assert!(!shown.contains("hunter"), "{shown}");
    }
}
