//! `/api/…`: it answers what its description says, and what the pages and the store say.

use std::collections::BTreeSet;

use evaluator::store::{Reader, Store};
use jsonschema::Validator;
use serde_json::{Value, json};

use crate::fixture::Plan;
use crate::site::Site;

const METHODS: [&str; 8] = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];

/// Clips of which a trial failed, and others that go on.
async fn busy() -> Site {
    let plan = Plan { sources: 2, blocks: 2, fails: true, under_way: true, ..Plan::default() };
    let site = Site::new(&plan).await;
    let (experiment, trial) = (site.filled.experiment, site.filled.trials[0]);
    site.store.add_tag(experiment, "paper").await.unwrap();
    site.store.add_note(experiment, None, "of all").await.unwrap();
    site.store.add_note(experiment, Some(trial), "of one").await.unwrap();
    site
}

async fn json(site: &Site, path: &str) -> Value {
    let answer = site.get(path).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    assert_eq!(answer.header("content-type"), "application/json", "{path}");
    serde_json::from_str(answer.text()).unwrap()
}

/// Every address with what can be done there.
fn operations(document: &Value) -> Vec<(&str, &Value)> {
    let mut all = Vec::new();
    for (address, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            assert!(METHODS.contains(&method.as_str()) && method == "get", "{method} {address}");
            all.push((address.as_str(), operation));
        }
    }
    all
}

/// Checks answers of this status against the description, and that they have no field more.
fn validator(document: &Value, operation: &Value, status: &str) -> Validator {
    let content = &operation["responses"][status]["content"]["application/json"]["schema"];
    let mut schema = json!({ "allOf": [content], "components": document["components"] });
    close(&mut schema);
    jsonschema::draft202012::new(&schema).unwrap()
}

/// Objects with named fields have all of them and no others.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            if let Some(properties) = object.get("properties").and_then(Value::as_object) {
                let names: BTreeSet<&str> = properties.keys().map(String::as_str).collect();
                let required = object["required"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
                assert_eq!(names, required, "fields are never left out");
                object.insert("additionalProperties".to_owned(), json!(false));
            }
            object.iter_mut().filter(|(name, _)| *name != "example").for_each(|(_, inner)| close(inner));
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}

#[track_caller]
fn fits(validator: &Validator, path: &str, answer: &Value) {
    let wrong: Vec<String> =
        validator.iter_errors(answer).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(wrong.is_empty(), "{path}: {wrong:#?}");
}

/// The address with numbers that are there.
fn filled(site: &Site, address: &str, trial: usize) -> String {
    let filled = &site.filled;
    address
        .replace("{experiment}", &filled.experiment.to_string())
        .replace("{trial}", &filled.trials[trial].to_string())
        .replace("{sample}", &filled.samples[0].to_string())
}

#[tokio::test]
async fn every_answer_is_as_the_description_says() {
    let site = busy().await;
    let document = json(&site, "/api/openapi.json").await;
    assert_eq!(document["openapi"], "3.1.0");
    for (address, operation) in operations(&document) {
        let validator = validator(&document, operation, "200");
        // Done, failed and under way.
        for trial in [0, 4, site.filled.trials.len() - 1] {
            let path = filled(&site, address, trial);
            fits(&validator, &path, &json(&site, &path).await);
        }
        for (name, example) in parameters(operation, "query") {
            let path = format!("{}?{name}={example}", filled(&site, address, 0));
            fits(&validator, &path, &json(&site, &path).await);
        }
    }
}

#[tokio::test]
async fn an_empty_store_answers_as_the_description_says() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("results.db")).await.unwrap();
    let site = Site::small().await.over(Reader::clone(&store));
    let document = json(&site, "/api/openapi.json").await;
    for (address, operation) in operations(&document).into_iter().filter(|(address, _)| !address.contains('{')) {
        let answer = site.get(address).await;
        let status = answer.status.as_str();
        let validator = validator(&document, operation, status);
        fits(&validator, address, &serde_json::from_str(answer.text()).unwrap());
        // Without metrics there are no axes.
        assert_eq!(status, if address == "/api/trade-offs" { "400" } else { "200" }, "{address}");
    }
}

/// Names and examples of what is given in the path or the query.
fn parameters<'a>(operation: &'a Value, place: &str) -> Vec<(&'a str, String)> {
    let all = operation["parameters"].as_array().map_or(&[][..], Vec::as_slice).iter();
    let of_place = all.filter(|parameter| parameter["in"] == place);
    let example = |parameter: &'a Value| match &parameter["example"] {
        Value::String(text) => text.clone(),
        example => example.to_string(),
    };
    of_place.map(|parameter| (parameter["name"].as_str().unwrap(), example(parameter))).collect()
}

#[tokio::test]
async fn the_description_leaves_nothing_out() {
    let site = Site::small().await;
    let document = json(&site, "/api/openapi.json").await;
    let described: BTreeSet<&str> = operations(&document).into_iter().map(|(address, _)| address).collect();
    let served = web::addresses().into_iter().filter(|address| address.starts_with("/api/"));
    assert_eq!(described, served.collect());
    let mut ids = BTreeSet::new();
    for (address, operation) in operations(&document) {
        assert!(ids.insert(operation["operationId"].as_str().unwrap()), "{address}");
        assert!(!operation["summary"].as_str().unwrap().is_empty(), "{address}");
        let in_path: Vec<&str> = parameters(operation, "path").into_iter().map(|(name, _)| name).collect();
        let braces = address.split('{').skip(1).map(|rest| rest.split('}').next().unwrap());
        assert_eq!(in_path, braces.collect::<Vec<_>>(), "{address}");
        for parameter in operation["parameters"].as_array().unwrap_or(&Vec::new()) {
            assert!(!parameter["description"].as_str().unwrap_or_default().is_empty(), "{address}: {parameter}");
            let schema = jsonschema::draft202012::new(&parameter["schema"]).unwrap();
            fits(&schema, address, &parameter["example"]);
            assert_eq!(parameter["required"], parameter["in"] == "path", "{address}: {parameter}");
        }
        for status in ["200", "304", "400", "401", "404", "500", "503"] {
            assert!(operation["responses"][status]["description"].is_string(), "{status} of {address}");
        }
    }
    assert_eq!(document["security"], json!([{}, { "token": [] }]));
    assert_eq!(document["components"]["securitySchemes"]["token"], json!({ "type": "http", "scheme": "bearer" }));
}

#[tokio::test]
async fn every_field_is_explained_with_an_example_that_fits() {
    let site = Site::small().await;
    let document = json(&site, "/api/openapi.json").await;
    let mut open = vec![("#".to_owned(), &document)];
    let mut fields = 0;
    while let Some((place, value)) = open.pop() {
        let Value::Object(object) = value else {
            open.extend(value.as_array().into_iter().flatten().map(|item| (place.clone(), item)));
            continue;
        };
        for (name, field) in object.get("properties").and_then(Value::as_object).into_iter().flatten() {
            fields += 1;
            let place = format!("{place}/{name}");
            // Of what may be null, the other choice is explained.
            let explained =
                [&field["description"], &field["oneOf"][0]["description"], &field["oneOf"][1]["description"]];
            assert!(
                explained.iter().any(|words| words.as_str().is_some_and(|words| !words.is_empty())),
                "{place}: {field}"
            );
            let made_of_others = field.to_string().contains("$ref") || field["items"]["properties"].is_object();
            assert!(made_of_others || !field["example"].is_null(), "{place} has no example: {field}");
            if !field["example"].is_null() {
                let schema = json!({ "allOf": [field], "components": document["components"] });
                fits(&jsonschema::draft202012::new(&schema).unwrap(), &place, &field["example"]);
            }
        }
        open.extend(object.iter().map(|(name, inner)| (format!("{place}/{name}"), inner)));
    }
    assert!(fields > 100, "{fields}");
}

#[tokio::test]
async fn problems_are_as_the_description_says() {
    let site = Site::small().await;
    let document = json(&site, "/api/openapi.json").await;
    let operation = &document["paths"]["/api/experiments"]["get"];
    let trial = format!("/api{}", site.trial(0));
    for (path, status, words) in [
        ("/api/experiments/77".to_owned(), "404", "There is no experiment 77"),
        ("/api/experiments/77/trials".to_owned(), "404", "There is no experiment 77"),
        ("/api/experiments/77/training".to_owned(), "404", "There is no experiment 77"),
        ("/api/experiments/1/training?run=77".to_owned(), "404", "There is no training run 77 in experiment 1"),
        ("/api/experiments/1/trials/77".to_owned(), "404", "There is no trial 77 in experiment 1"),
        ("/api/experiments/1/trials/77/samples".to_owned(), "404", "There is no trial 77 in experiment 1"),
        (format!("{trial}/samples/77"), "404", "There is no sample 77 in trial 1"),
        ("/api/nowhere".to_owned(), "404", "There is no page /api/nowhere"),
        ("/api/trade-offs?e=77".to_owned(), "404", "There is no experiment 77"),
        ("/api/trade-offs?x=colour".to_owned(), "400", "Nobody measured «colour»"),
        ("/api/trade-offs?colour=x".to_owned(), "400", "this page knows e, x, y, lx, ly, by, f, sort, l, page"),
        ("/api/experiments/one".to_owned(), "400", "one"),
        ("/api/experiments?page=0".to_owned(), "400", "page"),
        ("/api/experiments?page_size=1001".to_owned(), "400", "page_size=1001: a page has from 1 to 1000 things"),
        ("/api/experiments?pagesize=10".to_owned(), "400", "unknown field `pagesize`"),
        (format!("{trial}/samples?sort=colour"), "400", "colour"),
        ("/api/experiments/1/training?steps_per_point=0".to_owned(), "400", "steps_per_point"),
    ] {
        let answer = site.get(&path).await;
        assert_eq!(answer.status.as_str(), status, "{path}");
        let told: Value = serde_json::from_str(answer.text()).unwrap();
        fits(&validator(&document, operation, status), &path, &told);
        assert!(format!("{} {}", told["error"], told["advice"]).contains(words), "{path}: {told}");
        assert_eq!(told["request_id"], answer.header("x-request-id"));
    }
    let locked = Site::small().await.behind("0123456789abcdef");
    let refused = locked.get("/api/experiments").await;
    assert_eq!((refused.status.as_u16(), refused.header("www-authenticate")), (401, "Bearer"));
    let told = serde_json::from_str(refused.text()).unwrap();
    fits(&validator(&document, operation, "401"), "a stranger", &told);
    let bearer = [("authorization", "Bearer 0123456789abcdef")];
    assert_eq!(locked.ask("/api/experiments", &bearer).await.status, 200);

    let path = site.store.path().to_owned();
    site.store.close().await;
    std::fs::remove_file(path).unwrap();
    let gone = site.get("/api/experiments").await;
    assert_eq!(gone.status, 503);
    fits(&validator(&document, operation, "503"), "a lost store", &serde_json::from_str(gone.text()).unwrap());
    assert_eq!(site.get("/api/openapi.json").await.status, 200, "the description needs no store");
}

#[tokio::test]
async fn pages_lead_through_the_whole_list() {
    let site = busy().await;
    let trial = format!("/api{}", site.trial(0));
    for (list, query) in [
        ("/api/experiments".to_owned(), ""),
        ("/api/experiments/1/trials".to_owned(), ""),
        (format!("{trial}/samples"), ""),
        (format!("{trial}/samples"), "sort=kept_tokens&order=best&"),
    ] {
        let whole = json(&site, &format!("{list}?{query}page_size=1000")).await;
        let (mut items, mut next) = (Vec::new(), Some(format!("{list}?{query}page_size=3")));
        while let Some(path) = next {
            let page = json(&site, &path).await;
            assert_eq!((&page["total"], &page["page_size"]), (&whole["total"], &json!(3)), "{path}");
            assert!(page["items"].as_array().unwrap().len() <= 3);
            items.extend(page["items"].as_array().unwrap().clone());
            next = page["next"].as_str().map(str::to_owned);
        }
        assert_eq!(json!(items), whole["items"], "{list}?{query}");
        assert_eq!(whole["total"], items.len(), "{list}");
        assert!(whole["next"].is_null() && !items.is_empty());
    }
}

#[tokio::test]
async fn a_sample_has_every_number_of_the_store() {
    let site = busy().await;
    let (trial, sample) = (site.filled.trials[1], site.filled.samples[0]);
    let told = json(&site, &format!("/api{}/samples/{sample}", site.trial(1))).await;
    let measured: Vec<_> = site.store.measurements(trial).await.unwrap();
    let measured: Vec<_> = measured.iter().filter(|row| row.sample_id == sample).collect();
    assert_eq!(told["measurements"].as_array().unwrap().len(), measured.len());
    for row in measured {
        assert_eq!(told["sample"]["values"][&row.metric], row.value, "{}", row.metric);
    }
    let blocks = site.store.blocks(trial).await.unwrap();
    let blocks: Vec<_> = blocks.iter().filter(|block| block.sample_id == sample).collect();
    assert_eq!(told["blocks"].as_array().unwrap().len(), 2);
    for (block, told) in blocks.iter().zip(told["blocks"].as_array().unwrap()) {
        let record = &block.record;
        assert_eq!(
            (&told["kept_tokens"], &told["distortion"]),
            (&json!(record.kept_tokens), &json!(record.distortion))
        );
        let probes = record.probes.iter().map(|(kept, at)| json!({ "kept_tokens": kept, "distortion": at }));
        assert_eq!(told["probes"], json!(probes.collect::<Vec<_>>()));
        let curve = told["curve"]["points"].as_array().unwrap();
        let kept = curve.iter().find(|point| point["kept_tokens"] == record.kept_tokens).unwrap();
        assert_eq!(kept["distortion"], record.distortion, "its curve is the one behind the blocks before it");
    }
    for picture in ["original", "reconstruction"] {
        let picture = site.get(told["sample"][picture].as_str().unwrap()).await;
        assert_eq!(picture.header("content-type"), "image/png");
    }
    let listed = json(&site, &format!("/api{}/samples", site.trial(1))).await;
    assert!(listed["items"].as_array().unwrap().contains(&told["sample"]), "alone as among the others");
}

#[tokio::test]
async fn summaries_and_training_are_those_of_the_store() {
    let site = busy().await;
    let trials = site.store.trials(site.filled.experiment).await.unwrap();
    let told = json(&site, "/api/experiments/1/trials").await;
    assert_eq!(told["total"], trials.len());
    for (trial, told) in trials.iter().zip(told["items"].as_array().unwrap()) {
        assert_eq!((&told["id"], &told["error"]), (&json!(trial.id.0), &json!(trial.error)));
        for summary in told["summaries"].as_array().unwrap() {
            let row = trial.summary(summary["metric"].as_str().unwrap()).unwrap();
            let ends = (&json!(row.mean), &json!(row.low), &json!(row.high));
            assert_eq!((&summary["mean"], &summary["low"], &summary["high"]), ends);
        }
        assert_eq!(*told, json(&site, &format!("/api/experiments/1/trials/{}", trial.id)).await["trial"]);
    }
    let run = site.filled.runs[0];
    let points = site.store.training_points(run, 0).await.unwrap();
    let every = json(&site, &format!("/api/experiments/1/training?run={run}&steps_per_point=1")).await;
    let loss = &every["runs"][0]["series"][0];
    let exact: Vec<_> = points.iter().map(|point| (json!(point.step), json!(point.loss))).collect();
    let told = loss["points"].as_array().unwrap().iter();
    let told: Vec<_> = told.map(|point| (point["first_step"].clone(), point["mean"].clone())).collect();
    assert_eq!((loss["quantity"].as_str(), told), (Some("loss"), exact));
    let coarse = json(&site, "/api/experiments/1/training?steps_per_point=50").await;
    assert!(coarse["runs"].as_array().unwrap().len() > 1);
    assert!(coarse["runs"][0]["series"][0]["points"].as_array().unwrap().len() < points.len());
    let whole = json(&site, "/api/experiments/1").await;
    assert_eq!(whole["experiment"]["status"], "running");
    assert_eq!(whole["experiment"], json(&site, "/api/experiments").await["items"][0]);
    assert_eq!(whole["experiment"]["tags"], json!(["paper"]));
    let first = site.filled.trials[0].0;
    let notes = |told: &Value| {
        let notes = told["notes"].as_array().unwrap().iter();
        notes.map(|note| (note["trial"].as_i64(), note["text"].as_str().unwrap().to_owned())).collect::<Vec<_>>()
    };
    assert_eq!(notes(&whole), [(None, "of all".to_owned()), (Some(first), "of one".to_owned())]);
    let of_trial = json(&site, &format!("/api/experiments/1/trials/{first}")).await;
    assert_eq!(notes(&of_trial), [(Some(first), "of one".to_owned())]);
}

#[tokio::test]
async fn trade_offs_are_those_of_the_first_page() {
    let site = busy().await;
    let query = "?e=1&x=evaluations&sort=psnr";
    let told = json(&site, &format!("/api/trade-offs{query}")).await;
    let table = json(&site, &format!("/trade-offs/table.json{query}")).await;
    assert_eq!(told["query"], "e=1&x=evaluations&sort=psnr");
    let mut points = Vec::new();
    for line in told["panels"].as_array().unwrap().iter().flat_map(|panel| panel["lines"].as_array().unwrap()) {
        for point in line["points"].as_array().unwrap() {
            let y = &point["y"];
            points.push(json!({ "value": y["mean"], "low": y["low"], "high": y["high"] }));
            assert!(line["name"].as_str().unwrap().contains(line["settings"]["strategy"].as_str().unwrap()));
        }
    }
    points.sort_by(|a, b| a["value"].as_f64().unwrap().total_cmp(&b["value"].as_f64().unwrap()));
    let rows: Vec<_> = table["rows"].as_array().unwrap().iter().map(|row| row["psnr"].clone()).collect();
    assert_eq!(points, rows);
    // A key's and a value's id filter.
    let strategy = told["keys"].as_array().unwrap().iter().find(|key| key["name"] == "strategy").unwrap();
    let full = strategy["values"].as_array().unwrap().iter().find(|value| value["text"] == "full").unwrap();
    let filter = format!("f={}.{}", strategy["id"].as_str().unwrap(), full["id"].as_str().unwrap());
    let filtered = json(&site, &format!("/api/trade-offs{query}&{filter}")).await;
    assert_eq!(filtered["trials"], full["trials"]);
}
