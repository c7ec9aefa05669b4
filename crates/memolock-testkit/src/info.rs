//! What `INFO` and `CLUSTER INFO` say: lines of `name:value`.

/// The value of one field.
pub(crate) fn field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines()
        .find_map(|line| line.trim_end().strip_prefix(name)?.strip_prefix(':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_found_by_its_whole_name() {
        let info = "# Replication\r\nrole_name:x\r\nrole:master\r\nempty:\r\n";
        assert_eq!(field(info, "role"), Some("master"));
        assert_eq!(field(info, "empty"), Some(""));
        assert_eq!(field(info, "rol"), None);
        assert_eq!(field(info, "absent"), None);
    }
}
