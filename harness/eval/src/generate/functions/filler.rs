//! Long texts: sentences that say nothing of interest, and what is hidden among them.

use num_traits::ToPrimitive as _;

use super::{Call, Function};
use crate::generate::Wrong;
use crate::generate::value::Value;

/// Who or what a sentence is about.
const SUBJECTS: [&str; 24] = [
    "the baker",
    "the old bridge",
    "a grey cat",
    "the morning train",
    "the gardener",
    "a small boat",
    "the school choir",
    "the north wind",
    "the librarian",
    "a row of poplars",
    "the village clock",
    "the ferry",
    "a group of hikers",
    "the painter",
    "the night watchman",
    "a flock of geese",
    "the stone wall",
    "the postman",
    "a slow river",
    "the market hall",
    "the carpenter",
    "a tall lamp",
    "the orchard",
    "the museum guide",
];

/// What it does.
const VERBS: [&str; 20] = [
    "stood quietly",
    "waited",
    "came back",
    "seemed at home",
    "rested",
    "moved slowly",
    "looked much the same",
    "stayed for a while",
    "passed by",
    "was seen",
    "kept still",
    "turned around",
    "appeared",
    "lingered",
    "arrived early",
    "stopped for a moment",
    "was often mentioned",
    "drew little notice",
    "was well liked",
    "fitted in",
];

/// Where.
const PLACES: [&str; 20] = [
    "near the harbour",
    "behind the mill",
    "along the quiet road",
    "under the chestnut trees",
    "beside the canal",
    "on the hill",
    "at the edge of the forest",
    "in the narrow street",
    "by the old well",
    "across the meadow",
    "next to the fountain",
    "in front of the town hall",
    "above the valley",
    "below the church tower",
    "between the two barns",
    "around the corner",
    "at the end of the lane",
    "on the wooden pier",
    "inside the courtyard",
    "beyond the fields",
];

/// When, or how.
const CIRCUMSTANCES: [&str; 20] = [
    "before the rain began",
    "while the shops were still closed",
    "as the light faded",
    "without any hurry",
    "when the leaves had fallen",
    "as it did every week",
    "after a long afternoon",
    "in spite of the cold",
    "though nobody had asked",
    "while the kettle was boiling",
    "just as the bells fell silent",
    "long after the guests had left",
    "as people there remember",
    "in the usual way",
    "on a mild day",
    "until the fog had lifted",
    "because the air was clear",
    "as if nothing had happened",
    "while children played nearby",
    "at the turn of the season",
];

/// Sentences of a paragraph.
const PARAGRAPH: usize = 7;

pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        form: "filler(tokens)",
        what: "sentences that say nothing of interest, without numbers and names, of about so many tokens together: each word and each full \
               stop is taken for one",
        run: |call| {
            let sentences = sentences(call, 0)?;
            let text = paragraphs(&sentences);
            call.new_text(text)
        },
    },
    Function {
        form: "haystack(tokens, needles)",
        what: "such sentences with needles [depth, sentence] among them, in about so many tokens together: at depth 0 the needle stands \
               first, at 100 last, at 50 after half of the sentences",
        run: |call| {
            let mut needles = Vec::new();
            let mut own = 0;
            for it in call.tuples(1, 2, "needles [depth, sentence]")? {
                let (Value::Number(depth), Value::Text(sentence)) = (&it[0], &it[1]) else {
                    return Err(call.wrong(1, "a needle is [depth, sentence]"));
                };
                let Some(depth) = depth.to_f64().filter(|it| (0.0..=100.0).contains(it)) else {
                    return Err(call.wrong(1, "a depth lies between 0 and 100"));
                };
                own += tokens(sentence);
                needles.push((depth, sentence.to_string()));
            }
            let mut all = sentences(call, own)?;
            let filler = all.len();
            needles.sort_by(|a, b| a.0.total_cmp(&b.0));
            // The last first, so that places before it stay what they are.
            for (depth, sentence) in needles.into_iter().rev() {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "from 0 to the number of sentences"
                )]
                let place = (depth / 100.0 * filler as f64).round() as usize;
                all.insert(place.min(filler), sentence);
            }
            let text = paragraphs(&all);
            call.new_text(text)
        },
    },
];

/// About how many tokens a text has: its words, and the marks that end a sentence.
fn tokens(text: &str) -> usize {
    text.split_whitespace().count() + text.matches(['.', '?', '!']).count()
}

/// Sentences of so many tokens together, less those that others need.
fn sentences(call: &mut Call<'_, '_>, others: usize) -> Result<Vec<String>, Wrong> {
    let most = call.count(0, 40_000)?.saturating_sub(others);
    let mut sentences: Vec<String> = Vec::new();
    let mut so_far = 0;
    loop {
        call.pay(20)?;
        let source = &mut call.machine.source;
        let mut pick = |words: &[&'static str]| words[source.place(words.len())];
        let (subject, verb, place, circumstance) =
            (pick(&SUBJECTS), pick(&VERBS), pick(&PLACES), pick(&CIRCUMSTANCES));
        let sentence = capital(&match pick(&["who", "where", "when"]) {
            "who" => format!("{subject} {verb} {place}, {circumstance}."),
            "where" => format!("{place}, {subject} {verb}, {circumstance}."),
            _ => format!("{circumstance}, {subject} {verb} {place}."),
        });
        let next = so_far + tokens(&sentence);
        if next > most {
            return Ok(sentences);
        }
        so_far = next;
        sentences.push(sentence);
    }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn paragraphs(sentences: &[String]) -> String {
    sentences.chunks(PARAGRAPH).map(|it| it.join(" ")).collect::<Vec<_>>().join("\n")
}
