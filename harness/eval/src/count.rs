//! Counts in sentences: `1 trial`, `1,250 trials`.

/// A count of things, whose plural has an `s`.
pub fn counted(number: usize, thing: &str) -> String {
    format!("{} {thing}{}", grouped(&number.to_string()), if number == 1 { "" } else { "s" })
}

/// A decimal number, its whole part in groups of three digits.
pub(crate) fn grouped(number: &str) -> String {
    let (sign, number) = number.strip_prefix('-').map_or(("", number), |it| ("-", it));
    let (whole, rest) = number.split_at(number.find('.').unwrap_or(number.len()));
    let mut out = sign.to_owned();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::counted;

    #[test]
    fn one_is_no_plural() {
        assert_eq!(counted(0, "trial"), "0 trials");
        assert_eq!(counted(1, "trial"), "1 trial");
        assert_eq!(counted(1250, "trial"), "1,250 trials");
    }
}
