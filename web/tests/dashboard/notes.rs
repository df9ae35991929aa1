//! Notes: written on the pages of an experiment and of its trials.

use evaluator::store::{MOST_NOTE_CHARACTERS, NoteId};
use scraper::Selector;

use crate::html::well_formed;
use crate::site::Site;

#[tokio::test]
async fn a_note_is_written_shown_with_its_lines_and_deleted() {
    let site = Site::small().await;
    let text = "first line\r\n\r\n  <b>indented</b>\r\n";
    site.post("/experiments/1/notes", &[("text", text)]).await.leads_to("/experiments/1#note-1");
    let answer = site.get("/experiments/1").await;
    let page = well_formed("/experiments/1", &answer);
    let shown = page.select(&Selector::parse("#note-1 p").unwrap()).next().unwrap();
    assert_eq!(shown.text().collect::<String>(), "first line\n\n  <b>indented</b>");
    let written = site.store.notes(site.filled.experiment).await.unwrap().remove(0).written_at;
    answer.says(200, &[&format!("<time datetime=\"{written}\">"), "id=\"notes\"", "1 note</a>"]);
    site.post("/experiments/1/notes/1/delete", &[]).await.leads_to("/experiments/1#notes");
    site.get("/experiments/1").await.says(200, &["Write a note</a>"]);
}

#[tokio::test]
async fn a_note_about_a_trial_is_on_its_page_and_on_the_experiments() {
    let site = Site::small().await;
    let (trial, other) = (site.trial(0), site.trial(1));
    site.post("/experiments/1/notes", &[("text", "about all")]).await.leads_to("/experiments/1#note-1");
    site.post(&format!("{trial}/notes"), &[("text", "an outlier")]).await.leads_to(&format!("{trial}#note-2"));
    let experiment = site.get("/experiments/1").await;
    let page = well_formed("/experiments/1", &experiment);
    let notes = Selector::parse(".notes li").unwrap();
    let notes: Vec<String> = page.select(&notes).map(|note| note.text().collect()).collect();
    assert!(notes.len() == 2 && notes[0].contains("about all") && notes[1].contains("an outlier"), "{notes:?}");
    let link = page.select(&Selector::parse("#note-2 form a").unwrap()).next().unwrap();
    assert_eq!(link.attr("href"), Some(trial.as_str()));
    assert!(site.get(&trial).await.text().contains(&format!("<h1>{}</h1>", link.inner_html())), "it has its title");
    site.get(&trial).await.says(200, &["an outlier"]);
    assert!(!site.get(&trial).await.text().contains("about all"));
    assert!(!site.get(&other).await.text().contains("an outlier"));
    let number = site.filled.trials[0].to_string();
    let deleted = site.post("/experiments/1/notes/2/delete", &[("trial", &number)]).await;
    deleted.leads_to(&format!("{trial}#notes"));
    site.post("/experiments/1/notes/1/delete", &[("trial", "//evil.example")]).await.says(422, &["not understood"]);
    let left: Vec<NoteId> = site.store.notes(site.filled.experiment).await.unwrap().iter().map(|row| row.id).collect();
    assert_eq!(left, [NoteId(1)]);
}

#[tokio::test]
async fn a_note_that_is_none_is_refused_with_its_length() {
    let site = Site::small().await;
    let long = "x".repeat(MOST_NOTE_CHARACTERS + 1);
    for path in ["/experiments/1/notes".to_owned(), format!("{}/notes", site.trial(0))] {
        for (text, words) in [
            ("\r\n", "a note has 1 to 10000 characters, and this one has 0"),
            (&long, "a note has 1 to 10000 characters, and this one has 10001"),
            ("a\x1b[2Jb", "control character U+001B"),
        ] {
            let answer = site.post(&path, &[("text", text)]).await;
            answer.says(422, &["This is no note", words, "Nothing was changed"]);
            well_formed(&path, &answer);
        }
        site.post(&path, &[("name", "x")]).await.says(422, &["This form is not understood", "text"]);
    }
    assert_eq!(site.store.notes(site.filled.experiment).await.unwrap(), []);
}

#[tokio::test]
async fn the_longest_note_passes_in_any_script() {
    let site = Site::small().await;
    let longest = "𝄞".repeat(MOST_NOTE_CHARACTERS); // four bytes each, escaped with three characters each
    site.post("/experiments/1/notes", &[("text", &longest)]).await.leads_to("/experiments/1#note-1");
    assert_eq!(site.store.notes(site.filled.experiment).await.unwrap()[0].text, longest);
}
