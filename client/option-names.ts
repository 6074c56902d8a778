/**
 * Names of options. A program in JavaScript may write `lingerMS` or `linger.ms`; what nobody reads is refused, with the name
 * that was probably meant. Objects of options and descriptions of what is to be made are looked at so; places and records
 * are not, because they may be larger objects that have what is asked for among other things.
 */
import { OptionError } from './errors.ts'

/** Every name of `T`, checked by the compiler. */
export type Names<T> = { readonly [Name in keyof T]-?: true }

/**
 * Adds to `wrong` each name that `names` has not; `whose` goes in front of it: `retry.`. Throws an OptionError for what is no
 * object.
 */
export function checkNames(
  given: unknown,
  names: Readonly<Record<string, true>>,
  wrong: string[],
  whose = '',
): void {
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    const what = whose === '' ? 'options' : whose.slice(0, -1)
    throw new OptionError(`${what} is ${told(given)}: give an object.`)
  }
  for (const name in given) {
    if (!Object.hasOwn(names, name) && Object.hasOwn(given, name)) {
      wrong.push(`${whose}${name} is not known: ${suggestion(name, Object.keys(names))}`)
    }
  }
}

/** Throws an OptionError for the options of one call. */
export function checkOptions(
  given: unknown,
  names: Readonly<Record<string, true>>,
  call: string,
): void {
  const wrong: string[] = []
  checkNames(given, names, wrong)
  if (wrong.length > 0) throw new OptionError(`${call}: ${sentenceOf(wrong)}`)
}

/** What is wrong, as one sentence. */
export function sentenceOf(wrong: readonly string[]): string {
  const text = wrong.join('; ')
  return text.endsWith('?') ? text : `${text}.`
}

/** The name that was probably meant, if there is one. */
export function nearest(name: string, names: readonly string[]): string | null {
  const plain = plainOf(name)
  let best: string | null = null
  let least = Number.POSITIVE_INFINITY
  for (const known of names) {
    const other = plainOf(known)
    const [short, long] = plain.length < other.length ? [plain, other] : [other, plain]
    const isPart = short.length >= 4 && (long.startsWith(short) || long.endsWith(short))
    const distance = isPart ? 1 : editsBetween(plain, other)
    const most = Math.max(1, Math.floor(long.length / 4))
    if (distance > most || distance >= least) continue
    best = known
    least = distance
  }
  return best
}

/** A value in an error's text: never its contents, where it is an object. */
export function told(given: unknown): string {
  if (typeof given === 'string') return `'${given.length > 60 ? `${given.slice(0, 60)}…` : given}'`
  if (typeof given === 'function') return 'a function'
  if (typeof given !== 'object' || given === null) return String(given)
  if (Array.isArray(given)) return given.length === 0 ? 'an empty list' : 'a list'
  const name = (given.constructor as { readonly name?: string } | undefined)?.name ?? 'Object'
  if (name === 'Object') return 'an object'
  return `${/^[AEIOU]/.test(name) ? 'an' : 'a'} ${name}`
}

function suggestion(name: string, names: readonly string[]): string {
  const near = nearest(name, names)
  return near === null ? `there are ${names.join(', ')}` : `did you mean ${near}?`
}

/** `linger.ms`, `LINGER_MS` and `lingerMs` are the same here. */
function plainOf(name: string): string {
  return name.replace(/[^a-z0-9]/gi, '').toLowerCase()
}

/** Letters that have to be put in, taken out, replaced or swapped with their neighbour. */
function editsBetween(a: string, b: string): number {
  let beforeLast: number[] = []
  let last = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const differs = a[i - 1] === b[j - 1] ? 0 : 1
      let edits = Math.min(last[j]! + 1, row[j - 1]! + 1, last[j - 1]! + differs)
      const isSwap = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]
      if (isSwap) edits = Math.min(edits, beforeLast[j - 2]! + 1)
      row.push(edits)
    }
    beforeLast = last
    last = row
  }
  return last[b.length]!
}
