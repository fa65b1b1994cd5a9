//! Probability and statistics: exact.

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{One as _, Signed as _, Zero as _};

use super::numbers::binomial;
use super::{Call, Function};
use crate::generate::Wrong;
use crate::generate::value::Value;

pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        form: "binomial_chance(n, k, p)",
        what: "the probability of exactly k successes in n independent tries with probability p each",
        run: |call| {
            let (n, k) = (call.count(0, 200)?, call.count(1, 200)?);
            let p = probability(call, 2)?;
            if k > n {
                return Ok(Value::whole(0));
            }
            call.pay(n as u64 * (1 + super::super::value::bits(&p) / 64))?;
            let many = BigRational::from_integer(binomial(n, k));
            let chance =
                many * num_traits::pow(p.clone(), k) * num_traits::pow(BigRational::one() - p, n - k);
            call.new_number(chance)
        },
    },
    Function {
        form: "hypergeometric(all, good, drawn, k)",
        what: "the probability of exactly k good ones among `drawn` that are taken, without putting back, from `all` of which `good` are good",
        run: |call| {
            let all = call.count(0, 1_000)?;
            let (good, drawn, k) = (call.count(1, all)?, call.count(2, all)?, call.count(3, 1_000)?);
            if k > drawn || drawn - k > all - good {
                return Ok(Value::whole(0));
            }
            call.pay(drawn as u64 * 16)?;
            let ways = binomial(good, k) * binomial(all - good, drawn - k);
            call.new_number(BigRational::new(ways, binomial(all, drawn)))
        },
    },
    Function {
        form: "bayes(prior, hit, false_alarm)",
        what: "the probability of the cause given the sign: of P(cause), P(sign | cause) and P(sign | no cause)",
        run: |call| {
            let (prior, hit, alarm) = (probability(call, 0)?, probability(call, 1)?, probability(call, 2)?);
            let both = &prior * &hit;
            let sign = &both + (BigRational::one() - &prior) * alarm;
            if sign.is_zero() {
                return Err(call.fails("the sign never shows: nothing follows from it"));
            }
            call.new_number(both / sign)
        },
    },
    Function {
        form: "expectation(pairs)",
        what: "the sum of value * probability over pairs [value, probability], whose probabilities add up to 1",
        run: |call| {
            let (mut sum, mut total) = (BigRational::zero(), BigRational::zero());
            for it in call.tuples(0, 2, "pairs [value, probability]")? {
                let [value, chance] = &call.numbers_of(0, &Value::list(it))?[..] else { continue };
                if chance.is_negative() {
                    return Err(call.wrong(0, "a probability is not below 0"));
                }
                sum += value * chance;
                total += chance;
            }
            if !total.is_one() {
                return Err(call.wrong(0, format!("the probabilities add up to {total}, not to 1")));
            }
            call.new_number(sum)
        },
    },
    Function {
        form: "mean(list)",
        what: "the sum of the numbers divided by how many there are",
        run: |call| {
            let numbers = some(call)?;
            let mean = mean(&numbers);
            call.new_number(mean)
        },
    },
    Function {
        form: "median(list)",
        what: "the number in the middle of the sorted list; of an even one, the mean of the two in the middle",
        run: |call| {
            let mut numbers = some(call)?;
            numbers.sort();
            let middle = numbers.len() / 2;
            let median = if numbers.len() % 2 == 1 {
                numbers.swap_remove(middle)
            } else {
                mean(&numbers[middle - 1..=middle])
            };
            call.new_number(median)
        },
    },
    Function {
        form: "variance(list)",
        what: "the mean of the squared differences from the mean: of a population, divided by n",
        run: |call| {
            let numbers = some(call)?;
            let variance = squares(&numbers) / BigRational::from_integer(BigInt::from(numbers.len()));
            call.new_number(variance)
        },
    },
    Function {
        form: "sample_variance(list)",
        what: "the sum of the squared differences from the mean, divided by n - 1",
        run: |call| {
            let numbers = some(call)?;
            if numbers.len() < 2 {
                return Err(call.wrong(0, "a sample's variance needs two numbers"));
            }
            let variance = squares(&numbers) / BigRational::from_integer(BigInt::from(numbers.len() - 1));
            call.new_number(variance)
        },
    },
];

fn probability(call: &Call<'_, '_>, at: usize) -> Result<BigRational, Wrong> {
    let p = call.number(at)?;
    if p.is_negative() || p > BigRational::one() {
        return Err(call.wrong(at, "a probability lies between 0 and 1"));
    }
    Ok(p)
}

fn some(call: &Call<'_, '_>) -> Result<Vec<BigRational>, Wrong> {
    let numbers = call.numbers(0)?;
    if numbers.is_empty() { Err(call.wrong(0, "expected at least one number")) } else { Ok(numbers) }
}

fn mean(numbers: &[BigRational]) -> BigRational {
    let sum = numbers.iter().fold(BigRational::zero(), |sum, it| sum + it);
    sum / BigRational::from_integer(BigInt::from(numbers.len()))
}

fn squares(numbers: &[BigRational]) -> BigRational {
    let mean = mean(numbers);
    numbers.iter().fold(BigRational::zero(), |sum, it| {
        let distance = it - &mean;
        sum + &distance * &distance
    })
}
