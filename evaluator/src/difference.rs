//! Where two pieces of plain data differ.

use serde_json::Value;

/// The first place where two values differ, with what stands there; `path` is where they stand.
pub(crate) fn first_difference(path: &str, a: &Value, b: &Value) -> Option<(String, String, String)> {
    let below = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    match (a, b) {
        (Value::Object(a), Value::Object(b)) if a.keys().eq(b.keys()) => {
            a.iter().find_map(|(key, value)| first_difference(&below(key), value, &b[key]))
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            a.iter().zip(b).enumerate().find_map(|(index, (a, b))| first_difference(&below(&index.to_string()), a, b))
        }
        _ if a == b => None,
        _ => Some((path.to_owned(), a.to_string(), b.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_first_difference_is_named_by_its_path() {
        let a = json!({ "threads": 2, "experiment": { "variants": [{ "steps": 3 }, { "steps": 4 }] } });
        assert_eq!(first_difference("", &a, &a), None);
        let mut b = a.clone();
        b["experiment"]["variants"][1]["steps"] = json!(5);
        let told = |what: &str, here: &str, there: &str| Some((what.to_owned(), here.to_owned(), there.to_owned()));
        assert_eq!(first_difference("", &a, &b), told("experiment.variants.1.steps", "4", "5"));
        b["threads"] = json!(null);
        b["experiment"] = json!({});
        assert_eq!(first_difference("", &a["experiment"], &b["experiment"]).unwrap().0, "");
        assert_eq!(
            first_difference("", &json!({ "threads": 2 }), &json!({ "threads": null })),
            told("threads", "2", "null")
        );
    }
}
