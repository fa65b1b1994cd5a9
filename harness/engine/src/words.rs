//! How text is cut into words before byte-level BPE joins their bytes.
//!
//! GGUF names the way; llama.cpp, which writes that name, has the expressions. They run one after another, each
//! on the words that those before it left: a match is a word, and so is what lies between two matches.

use tokenizers::utils::SysRegex;

const GPT_2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)";
const DIGIT: &str = r"\p{N}";
const THREE_DIGITS: &str = "[0-9][0-9][0-9]";
const LLAMA_3: &str = concat!(
    r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}",
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
);
const QWEN_2: &str = concat!(
    r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}",
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
);
const SEED_CODER: &str = concat!(
    r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}",
    r"| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+"
);
const BLOOM: &str = r" ?[^(\s|.,!?\u{2026}\u{3002}\u{ff0c}\u{3001}\u{964}\u{6d4}\u{60c})]+";
// Letters that are not a to z count as upper and lower case: llama.cpp tells cases apart in ASCII alone.
const TEKKEN: &str = concat!(
    r"[^\r\n\p{L}\p{N}]?((?=[\p{L}])([^a-z]))*((?=[\p{L}])([^A-Z]))+",
    r"|[^\r\n\p{L}\p{N}]?((?=[\p{L}])([^a-z]))+((?=[\p{L}])([^A-Z]))*",
    r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
);
const GPT_4O: &str = concat!(
    r"[^\r\n\p{L}\p{N}]?((?=[\p{L}])([^a-z]))*((?=[\p{L}])([^A-Z]))+",
    r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])?",
    r"|[^\r\n\p{L}\p{N}]?((?=[\p{L}])([^a-z]))+((?=[\p{L}])([^A-Z]))*",
    r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])?",
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
);
// Spaces are left out of ranges that hold some: llama.cpp takes every space for a plain one.
const CJK: &str = r"[[\u{800}-\u{9fa5}\u{ac00}-\u{d7ff}]&&\S]+";
const DEEPSEEK_LLM: &[&str] = &[
    r"[\r\n]",
    concat!(
        r"\s?[A-Za-z\u{b5}\u{c0}-\u{d6}\u{d8}-\u{f6}\u{f8}-\u{1ba}\u{1bc}-\u{1bf}\u{1c4}-\u{293}",
        r"\u{295}-\u{2af}\u{370}-\u{373}\u{376}\u{377}\u{37b}-\u{37d}\u{37f}\u{386}\u{388}-\u{38a}",
        r"\u{38c}\u{38e}-\u{3a1}\u{3a3}-\u{3f5}\u{3f7}-\u{481}\u{48a}-\u{52f}\u{531}-\u{556}",
        r"\u{10a0}-\u{10c5}\u{13a0}-\u{13f5}\u{13f8}-\u{13fd}\u{1c90}-\u{1cba}\u{1cbd}-\u{1cbf}",
        r"\u{1d00}-\u{1d2b}\u{1d6b}-\u{1d77}\u{1d79}-\u{1d9a}\u{1e00}-\u{1f15}\u{1f18}-\u{1f1d}",
        r"\u{1f20}-\u{1f45}\u{1f48}-\u{1f4d}\u{1f50}-\u{1f57}\u{1f59}\u{1f5b}\u{1f5d}\u{1f5f}-\u{1f7d}",
        r"\u{1f80}-\u{1fb4}\u{1fb6}-\u{1fbc}\u{1fbe}\u{1fc2}-\u{1fc4}\u{1fc6}-\u{1fcc}",
        r"\u{1fd0}-\u{1fd3}\u{1fd6}-\u{1fdb}\u{1fe0}-\u{1fec}\u{1ff2}-\u{1ff4}\u{1ff6}-\u{1ffc}",
        r"\u{2102}\u{2107}\u{210a}-\u{2113}\u{2115}\u{2119}-\u{211d}\u{2124}\u{2126}\u{2128}",
        r"\u{212a}-\u{212d}\u{212f}-\u{2134}\u{2139}\u{213c}-\u{213f}\u{2145}-\u{2149}\u{214e}\u{2183}",
        r"\u{2184}\u{2c00}-\u{2c7b}\u{2c7e}-\u{2ce4}\u{2ceb}-\u{2cee}\u{2cf2}\u{2cf3}\u{a640}-\u{a66d}",
        r"\u{a680}-\u{a69b}\u{a722}-\u{a76f}\u{a771}-\u{a787}\u{a78b}-\u{a78e}\u{ab70}-\u{abbf}",
        r"\u{fb00}-\u{fb06}\u{fb13}-\u{fb17}\u{ff21}-\u{ff3a}\u{ff41}-\u{ff5a}\u{10400}-\u{1044f}",
        r"\u{104b0}-\u{104d3}\u{104d8}-\u{104fb}\u{10c80}-\u{10cb2}\u{10cc0}-\u{10cf2}",
        r"\u{118a0}-\u{118df}\u{1e900}-\u{1e943}]+",
    ),
    r"\s?[!-/:-~\u{ff01}-\u{ff0f}\u{ff1a}-\u{ff5e}\u{2018}-\u{201f}\u{3001}-\u{3002}]+",
    r"\s+$",
    CJK,
    r"\p{N}+",
];
/// What a file without a name gets.
const DEFAULT: &[&str] = &[r"[\p{P}\$\+<=>\^~\|]+", GPT_2, r"\p{N}+", THREE_DIGITS];

/// A piece of text longer than this many bytes without a border is refused: the expressions give up somewhere
/// beyond, without saying so.
const LONGEST: usize = 1 << 18;

/// A way of cutting text into words.
pub(crate) struct Words {
    expressions: Vec<SysRegex>,
    /// A word that is a token is taken as it is, whatever the merges say.
    pub(crate) whole: bool,
    /// A text begins with the beginning token where the file does not say.
    pub(crate) begins: bool,
}

impl Words {
    /// The way that GGUF gives this name; `None` is a file without a name.
    pub(crate) fn new(name: Option<&str>) -> Result<Self, String> {
        let expressions: &[&str] = match name.unwrap_or("default") {
            "default" => DEFAULT,
            "gpt-2" | "phi-2" | "mpt" | "olmo" | "jais" | "trillion" | "gigachat" | "exaone4" | "a.x-4.0"
            | "mellum" | "granite-docling" => &[GPT_2],
            "smollm" | "starcoder" | "refact" | "command-r" | "codeshell" | "exaone" | "minerva-7b"
            | "mellum2" => &[DIGIT, GPT_2],
            "llama3" | "llama-v3" | "llama-bpe" | "falcon3" | "pixtral" | "midm-2.0" | "lfm2" | "dbrx"
            | "smaug-bpe" | "chatglm-bpe" | "glm4" => &[LLAMA_3],
            "qwen2" | "deepseek-r1-qwen" | "kormo" | "megrez" | "stablelm2" | "hunyuan" | "solar-open"
            | "grok-2" => &[QWEN_2],
            "falcon" => &[r"[\p{P}\$\+<=>\^~\|`]+", GPT_2, THREE_DIGITS],
            "bloom" | "gpt3-finnish" | "poro-chat" => &[BLOOM],
            "viking" => &[BLOOM, DIGIT],
            "tekken" => &[TEKKEN],
            "gpt-4o" | "llama4" | "kanana2" => &[GPT_4O],
            "deepseek-llm" => DEEPSEEK_LLM,
            "deepseek-coder" => &[r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", CJK, DIGIT],
            "superbpe" => &[r"\p{N}+", r"(?=(\d{3})+(?!\d))"],
            "seed-coder" => &[SEED_CODER],
            other => return Err(format!("the pre-tokenizer `{other}` is not supported")),
        };
        let expressions = expressions.iter().map(|it| SysRegex::new(it).map_err(|err| err.to_string()));
        let begins = matches!(
            name,
            Some(
                "llama3" | "llama-v3" | "llama-bpe" | "falcon3" | "pixtral" | "midm-2.0" | "lfm2" | "tekken"
            )
        );
        let whole = begins || name == Some("glm4");
        Ok(Self { expressions: expressions.collect::<Result<_, _>>()?, whole, begins })
    }

    /// The words of a text, which together are the text.
    pub(crate) fn cut<'t>(&self, text: &'t str) -> Result<Vec<&'t str>, String> {
        let mut words = vec![text];
        for expression in &self.expressions {
            let mut finer = Vec::with_capacity(words.len());
            for word in words {
                let mut from = 0;
                for (begin, end) in expression.find_iter(word) {
                    finer.extend([&word[from..begin], &word[begin..end]]);
                    from = end;
                }
                finer.push(&word[from..]);
            }
            finer.retain(|it| !it.is_empty());
            if let Some(long) = finer.iter().find(|it| it.len() > LONGEST) {
                return Err(format!("a word of {} bytes is longer than is tokenized", long.len()));
            }
            words = finer;
        }
        Ok(words)
    }
}
