//! JSON.

use rstest::rstest;

use crate::check;

const PERSON: &str = "json: { schema: { type: object, required: [name], properties: { name: { type: string }, age: { type: integer } }, additionalProperties: false } }";

#[rstest]
#[case(r#"{"name": "Ada"}"#, 1.0, "the schema is satisfied")]
#[case(r#"  {"name": "Ada", "age": 36}  "#, 1.0, "")]
#[case("```json\n{\"name\": \"Ada\"}\n```", 1.0, "")]
#[case("Here:\n```\n{\"name\": \"Ada\"}\n```\nDone.", 1.0, "")]
#[case("```json {\"name\": \"Ada\"} ```", 1.0, "")]
#[case("```json\n{\"name\": 1}\n```\nNo:\n```json\n{\"name\": \"Ada\"}\n```", 1.0, "")]
#[case("```json\n{\"name\": \"Ada\"}", 1.0, "")]
#[case("Sure! {\"name\": \"a}b{\"} is it.", 1.0, "")]
#[case("In [0, 1) and {x}: {\"name\": \"Ada\"}", 1.0, "")]
#[case("{\"age\": 36}", 0.0, "the value: \"name\" is a required property")]
#[case(
    "{\"name\": 1, \"age\": 0.5}",
    0.0,
    "/name: it is not of type \"string\", /age: it is not of type \"integer\""
)]
#[case("{\"name\": \"Ada\", \"job\": 1}", 0.0, "'job' was unexpected")]
#[case("{\"name\": \"Ada\"} {\"name\": \"Bob\"}", 1.0, "")]
#[case("42", 0.0, "not of type \"object\"")]
#[case("Ada", 0.0, "no JSON found")]
#[case("", 0.0, "no JSON found")]
#[case("{'name': 'Ada'}", 0.0, "no JSON found")]
#[case("{\"name\": \"Ada\"", 0.0, "the JSON breaks off")]
#[case("```json\n{\"name\": }\n```", 0.0, "the code fence holds no JSON: expected value")]
#[case(&"[".repeat(100_000), 0.0, "the JSON is nested too deep")]
#[case(&("[".repeat(200) + &"]".repeat(200)), 0.0, "the JSON is nested too deep")]
#[case(&("x ".to_owned() + &"{\"a\":".repeat(200) + "1" + &"}".repeat(200)), 0.0, "the JSON is nested too deep")]
#[case("{\"name\": \"\\ud800\"}", 0.0, "")]
#[case("é[ü{\"name\": \"Ada\"}", 1.0, "")]
fn json(#[case] answer: &str, #[case] score: f64, #[case] reason: &str) {
    check(PERSON, answer, score, reason);
}

#[test]
fn reasons_are_short() {
    let answer = format!("[{}]", "\"x\",".repeat(20_000) + "1");
    let grade = crate::grade("json: { schema: { type: array, items: { enum: [1] } } }", &answer);
    assert!(grade.reason.len() < 600, "{}", grade.reason);
    assert!(grade.answer.unwrap().chars().count() <= 201);
}
