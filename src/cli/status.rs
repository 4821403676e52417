//! `status`: what the daemon tells of itself.

use serde_json::Value;

use super::Context;
use super::daemon;
use super::error::{CliError, Outcome};
use super::output::{Answer, fields};

pub(super) fn status(context: &Context) -> Result<Answer, CliError> {
    let value = daemon::status(&context.defaults.admin_socket())?;
    context.answer(Outcome::Fine, &value, || {
        let mut lines = Vec::new();
        flatten("", &value, &mut lines);
        let pairs: Vec<_> = lines.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
        fields(&pairs)
    })
}

/// One line for every value, under its path.
fn flatten(path: &str, value: &Value, lines: &mut Vec<(String, String)>) {
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match value {
        Value::Object(members) => {
            members.iter().for_each(|(name, value)| flatten(&below(name), value, lines))
        }
        Value::Array(values) => {
            values
                .iter()
                .enumerate()
                .for_each(|(index, value)| flatten(&below(&index.to_string()), value, lines));
        }
        Value::String(text) => lines.push((path.to_owned(), text.clone())),
        Value::Null => {}
        other => lines.push((path.to_owned(), other.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_has_its_line() {
        let value = serde_json::json!({"a": {"b": 1, "c": [true, "x"]}, "d": null});
        let mut lines = Vec::new();
        flatten("", &value, &mut lines);
        let lines: Vec<_> = lines.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(lines, ["a.b=1", "a.c.0=true", "a.c.1=x"]);
    }
}
