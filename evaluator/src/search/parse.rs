//! Strategies as experiment files and results name them: `full`, `binned(16)`, `fixed(0.25)`.
//!
//! The name is the strategy's identity in stored results, so reading and writing are inverse: whatever
//! [`SearchStrategy::name`] prints, [`parse`] reads back.
use super::{FORMS, SearchError, SearchStrategy};

/// How a strategy is written.
#[derive(Clone, Copy, Debug)]
pub struct Form {
    /// What a person writes, with parameters named: `binned(k)`.
    pub syntax: &'static str,
    /// A canonical name of this form: `binned(16)`. Every law of the tests is tried on it.
    pub example: &'static str,
    /// Builds the strategy from the arguments between its brackets (none without brackets), or says what is wrong
    /// with them.
    pub(super) build: Build,
}

type Build = fn(&[&str]) -> Result<Box<dyn SearchStrategy>, String>;

impl Form {
    /// The strategy's name, without parameters.
    pub fn name(&self) -> &'static str {
        self.syntax.split('(').next().unwrap_or(self.syntax)
    }
}

/// Reads a strategy from its name.
///
/// # Errors
/// [`SearchError::UnknownStrategy`] lists the valid forms and the nearest name; [`SearchError::BadArguments`] says
/// what is wrong between the brackets.
pub fn parse(text: &str) -> Result<Box<dyn SearchStrategy>, SearchError> {
    let (name, arguments) = match text.trim().split_once('(') {
        Some((name, rest)) => (name.trim(), Some(rest)),
        None => (text.trim(), None),
    };
    let Some(form) = FORMS.iter().find(|form| form.name() == name) else {
        return Err(SearchError::UnknownStrategy { text: text.to_owned(), nearest: nearest(name) });
    };
    let built = match arguments.map(|rest| rest.strip_suffix(')')) {
        None => (form.build)(&[]),
        Some(Some(inside)) => (form.build)(&inside.split(',').map(str::trim).collect::<Vec<_>>()),
        Some(None) => Err("the closing bracket is missing".to_owned()),
    };
    built.map_err(|reason| SearchError::BadArguments { text: text.to_owned(), reason, form: form.syntax })
}

/// The form a person most likely meant by `name`, unless nothing is close.
fn nearest(name: &str) -> Option<&'static str> {
    const CLOSE: f64 = 0.7;
    FORMS
        .iter()
        .map(|form| (strsim::jaro_winkler(form.name(), &name.to_lowercase()), form.syntax))
        .filter(|(similarity, _)| *similarity >= CLOSE)
        .max_by(|(left, _), (right, _)| left.total_cmp(right))
        .map(|(_, syntax)| syntax)
}

/// Checks that a strategy without parameters was given none.
pub(super) fn no_arguments(arguments: &[&str]) -> Result<(), String> {
    match arguments {
        [] => Ok(()),
        _ => Err(format!("it takes no argument, but {} given", counted(arguments.len()))),
    }
}

/// Reads a strategy's only argument.
pub(super) fn one_argument<T: std::str::FromStr>(arguments: &[&str], meaning: &str) -> Result<T, String> {
    match arguments {
        [argument] => argument.parse().map_err(|_| format!("{argument:?} is not {meaning}")),
        _ => Err(format!("it takes one argument, {meaning}, but {} given", counted(arguments.len()))),
    }
}

fn counted(arguments: usize) -> String {
    match arguments {
        0 => "none was".to_owned(),
        1 => "one was".to_owned(),
        more => format!("{more} were"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        parse(text).expect_err("this text names no strategy").to_string()
    }

    #[test]
    fn canonical_names_are_read_back() {
        for name in ["full", "binned(2)", "binned(16)", "binary", "fixed(0.25)", "fixed(1)", "fixed(0.001)"] {
            assert_eq!(parse(name).unwrap().name(), name);
        }
    }

    #[test]
    fn spaces_and_other_spellings_of_a_number_do_not_change_the_name() {
        assert_eq!(parse(" binned( 16 ) ").unwrap().name(), "binned(16)");
        assert_eq!(parse("fixed(2.50e-1)").unwrap().name(), "fixed(0.25)");
    }

    #[test]
    fn every_form_has_its_own_name() {
        for (index, form) in FORMS.iter().enumerate() {
            assert!(FORMS[..index].iter().all(|other| other.name() != form.name()), "{} twice", form.name());
        }
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_nearest_and_all_forms() {
        let text = error("binray");
        assert!(
            text.starts_with(r#"there is no search strategy "binray" (did you mean binary?); write one of: full, "#)
        );
        assert!(FORMS.iter().all(|form| text.contains(form.syntax)), "{text}");
        assert!(error("bined(16)").contains("did you mean binned(k)?"));
        assert!(error("Full").contains("did you mean full?"));
        assert!(error("dowsing").starts_with(r#"there is no search strategy "dowsing"; write one of"#));
    }

    #[test]
    fn bad_arguments_are_named() {
        assert_eq!(
            error("binned(x)"),
            r#"search strategy "binned(x)": "x" is not a whole number of counts; write it as binned(k)"#
        );
        assert!(error("binned").contains("it takes one argument, a whole number of counts, but none was given"));
        assert!(error("binned(4, 5)").contains("but 2 were given"));
        assert!(error("binned(1)").contains("at least 2"));
        assert!(error("binary(3)").contains("it takes no argument, but one was given"));
        assert!(error("fixed(0.5").contains("closing bracket is missing"));
        for share in ["0", "1.5", "-0.5", "NaN"] {
            assert!(error(&format!("fixed({share})")).contains("more than 0 and at most 1"));
        }
    }
}
