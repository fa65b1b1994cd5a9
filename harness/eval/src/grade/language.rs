//! Languages: which script a word is written in, and which language its neighbours are.

/// A language that answers are expected in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Language {
    /// Its code of ISO 639-1.
    pub(super) code: &'static str,
    scripts: &'static [Script],
    /// Frequent words that its neighbours lack, for languages in Latin script.
    frequent: &'static [&'static str],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Script {
    Latin,
    Greek,
    Cyrillic,
    Hebrew,
    Arabic,
    Devanagari,
    Thai,
    Hangul,
    Kana,
    Han,
}

/// The languages that are known.
pub(super) const LANGUAGES: [Language; 18] = {
    use Script::{Arabic, Cyrillic, Devanagari, Greek, Han, Hangul, Hebrew, Kana, Latin, Thai};
    const fn language(
        code: &'static str,
        scripts: &'static [Script],
        frequent: &'static [&'static str],
    ) -> Language {
        Language { code, scripts, frequent }
    }
    [
        language(
            "en",
            &[Latin],
            &[
                "the", "of", "and", "is", "that", "with", "this", "are", "was", "which", "from", "it", "you",
                "have", "be",
            ],
        ),
        language(
            "de",
            &[Latin],
            &[
                "der", "die", "das", "und", "ist", "nicht", "ein", "eine", "mit", "den", "von", "zu", "auf",
                "für", "auch",
            ],
        ),
        language(
            "fr",
            &[Latin],
            &[
                "le", "les", "des", "et", "est", "une", "dans", "qui", "pour", "pas", "sur", "du", "au",
                "avec", "ce",
            ],
        ),
        language(
            "es",
            &[Latin],
            &[
                "el", "los", "las", "y", "es", "una", "por", "con", "para", "del", "se", "su", "como", "más",
                "pero",
            ],
        ),
        language(
            "it",
            &[Latin],
            &[
                "il", "che", "di", "è", "una", "per", "con", "sono", "gli", "della", "non", "si", "anche",
                "nel", "più",
            ],
        ),
        language(
            "pt",
            &[Latin],
            &["o", "os", "é", "uma", "não", "para", "com", "em", "do", "da", "no", "na", "mais", "ao", "são"],
        ),
        language(
            "nl",
            &[Latin],
            &[
                "de", "het", "een", "en", "van", "is", "dat", "niet", "met", "voor", "zijn", "ook", "op",
                "maar", "wordt",
            ],
        ),
        language(
            "pl",
            &[Latin],
            &["i", "w", "nie", "na", "jest", "się", "że", "do", "to", "jak", "ale", "po", "co", "tak", "za"],
        ),
        language(
            "sv",
            &[Latin],
            &[
                "och", "är", "att", "det", "en", "som", "inte", "på", "med", "för", "av", "ett", "har",
                "till", "den",
            ],
        ),
        language("ru", &[Cyrillic], &[]),
        language("el", &[Greek], &[]),
        language("he", &[Hebrew], &[]),
        language("ar", &[Arabic], &[]),
        language("hi", &[Devanagari], &[]),
        language("th", &[Thai], &[]),
        language("ko", &[Hangul], &[]),
        language("ja", &[Kana, Han], &[]),
        language("zh", &[Han], &[]),
    ]
};

/// Words that are looked at together.
const WINDOW: usize = 20;

impl Language {
    /// The share of words that are in another language: those of two letters or more, or of a script whose letters are
    /// words, in another script; and, of languages in Latin script, those in a window of 20 words (the last one of at
    /// least 10) in which some other language has three frequent words or more and twice as many as this one.
    pub(super) fn drift(&self, words: &[String]) -> f64 {
        if words.is_empty() {
            return 0.0;
        }
        let mut foreign: Vec<bool> = words.iter().map(|it| self.is_foreign(it)).collect();
        let hits = |frequent: &[&str], window: &[String]| {
            window.iter().filter(|it| frequent.contains(&it.as_str())).count()
        };
        if !self.frequent.is_empty() {
            for (at, window) in words.chunks(WINDOW).enumerate() {
                let own = hits(self.frequent, window);
                let other =
                    LANGUAGES.iter().filter(|it| *it != self).map(|it| hits(it.frequent, window)).max();
                if window.len() >= WINDOW / 2 && other.is_some_and(|it| it >= 3 && it >= 2 * own) {
                    let start = at * WINDOW;
                    foreign[start..start + window.len()].iter_mut().for_each(|it| *it = true);
                }
            }
        }
        foreign.iter().filter(|it| **it).count() as f64 / words.len() as f64
    }

    fn is_foreign(&self, word: &str) -> bool {
        let scripts: Vec<Script> = word.chars().filter_map(script).collect();
        let is_symbol =
            scripts.len() < 2 && !scripts.iter().any(|it| matches!(it, Script::Han | Script::Kana));
        let other = scripts.iter().filter(|it| !self.scripts.contains(it)).count();
        !is_symbol && 2 * other > scripts.len()
    }
}

fn script(letter: char) -> Option<Script> {
    Some(match u32::from(letter) {
        0x41..=0x5a | 0x61..=0x7a | 0xaa | 0xba | 0xc0..=0x24f | 0x1e00..=0x1eff => Script::Latin,
        0x370..=0x3ff | 0x1f00..=0x1fff => Script::Greek,
        0x400..=0x52f => Script::Cyrillic,
        0x590..=0x5ff => Script::Hebrew,
        0x600..=0x6ff | 0x750..=0x77f | 0x8a0..=0x8ff => Script::Arabic,
        0x900..=0x97f => Script::Devanagari,
        0xe00..=0xe7f => Script::Thai,
        0x1100..=0x11ff | 0xac00..=0xd7af => Script::Hangul,
        0x3040..=0x30ff => Script::Kana,
        0x3400..=0x4dbf | 0x4e00..=0x9fff | 0xf900..=0xfaff => Script::Han,
        _ => return None,
    })
}

/// The words of a text in small letters: runs of letters, digits and apostrophes; each Han or Kana letter is one.
pub(super) fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut open = false;
    for letter in text.chars() {
        let is_alone = matches!(script(letter), Some(Script::Han | Script::Kana));
        let is_letter = letter.is_alphanumeric() || matches!(letter, '\'' | '’') && open;
        if is_letter && !is_alone && open {
            if let Some(word) = words.last_mut() {
                word.extend(letter.to_lowercase());
            }
        } else if is_letter {
            words.push(letter.to_lowercase().collect());
        }
        open = is_letter && !is_alone;
    }
    words
}
