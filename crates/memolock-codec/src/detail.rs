//! What an error may say of a value without quoting it.

/// Bytes that were read to the end of the value, with more behind it. They are refused because no codec
/// writes them: another format was stored here, or another version of the type that has more fields,
/// and a value that is read by chance is worse than an error.
#[cfg(any(feature = "msgpack", feature = "postcard", feature = "bincode"))]
pub(crate) const TRAILING: &str = "trailing bytes";

/// The bytes end before the value does.
#[cfg(any(feature = "msgpack", feature = "bincode"))]
pub(crate) const CUT_SHORT: &str = "the bytes end too early";

/// What a `Deserialize` said may quote the value, so it is not repeated.
pub(crate) const NOT_THIS_TYPE: &str = "not of this type";

/// What a `Serialize` said may quote the value too.
pub(crate) const REFUSED: &str = "its Serialize refused";

/// The one message of a `Deserialize` that names the type's side alone, and the one that is met most
/// when releases differ.
#[cfg(any(feature = "json", feature = "msgpack"))]
pub(crate) fn missing_field(message: &str) -> Option<String> {
    let name = message.strip_prefix("missing field `")?.split('`').next()?;
    Some(format!("missing field `{name}`"))
}
