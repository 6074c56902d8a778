/**
 * A setting: what type it has, what it is when nobody sets it, which values are valid, what it is for. The tables of
 * topic settings (config.ts here) and broker settings (broker/settings) are made of these.
 *
 * Text becomes a value by the rules of Kafka's settings: blanks around it do not count, booleans in any case, lists are
 * separated by commas and keep the first of equal items, numbers must fit their type. Values are written back the way
 * Kafka's tools show them, so LONG and DOUBLE follow Java's spelling (9223372036854775807, 1.0E-5).
 *
 * The lines of refusal are the ones that Kafka's tools print, because scripts look for them.
 */
import { INT64_MAX } from '../protocol/buffer.ts'

export type SettingType =
  | 'BOOLEAN'
  | 'STRING'
  | 'INT'
  | 'SHORT'
  | 'LONG'
  | 'DOUBLE'
  | 'LIST'
  | 'CLASS'
  | 'PASSWORD'

/** The numbers of the types in DescribeConfigs (KIP-569). */
export const settingTypeCodes: { readonly [Type in SettingType]: number } = {
  BOOLEAN: 1,
  STRING: 2,
  INT: 3,
  SHORT: 4,
  LONG: 5,
  DOUBLE: 6,
  LIST: 7,
  CLASS: 8,
  PASSWORD: 9,
}

export type SettingValue = boolean | number | string | readonly string[] | null

/** What is wrong with a value; `shown` is the part of it that is, if not all. */
interface Fault {
  readonly why: string
  readonly shown?: string
}

export interface Valid {
  /** The values in words, as Kafka's documentation writes them: `[1,...]`. */
  readonly text: string
  fault(value: SettingValue, name: string): Fault | null
}

export interface Setting<T extends SettingValue = SettingValue> {
  readonly type: SettingType
  readonly defaultValue: T
  readonly valid: Valid | null
  /** One or two sentences for the person who sets it. */
  readonly doc: string
  /** Why it has no effect here, to be read after "because"; null where it works. */
  readonly ignored: string | null
}

export type Settings = Readonly<Record<string, Setting>>

type CamelCase<Name extends string> = Name extends `${infer First}.${infer Rest}`
  ? `${First}${Capitalize<CamelCase<Rest>>}`
  : Name

/** The values of a table of settings under their names in code: `segment.bytes` is `segmentBytes`. */
export type ValuesOf<Table extends Settings> = {
  readonly [Name in keyof Table & string as CamelCase<Name>]: Table[Name] extends Setting<infer T>
    ? T
    : never
}

export function camelCase(name: string): string {
  return name.replace(/\.(.)/g, (_, letter: string) => letter.toUpperCase())
}

// Widens a default to its type, so that `int(1, …)` is a Setting<number> and `int(null, …)` a Setting<number | null>.
type Of<Default, V extends SettingValue> = Default extends null ? V | null : V

const maker =
  <V extends SettingValue>(type: SettingType) =>
  <D extends V | null>(defaultValue: D, valid: Valid | null = null, doc = '') =>
    ({ type, defaultValue, valid, doc, ignored: null }) as unknown as Setting<Of<D, V>>

export const boolean = maker<boolean>('BOOLEAN')
export const int = maker<number>('INT')
export const short = maker<number>('SHORT')
export const long = maker<number>('LONG')
export const double = maker<number>('DOUBLE')
export const string = maker<string>('STRING')
export const list = maker<readonly string[]>('LIST')
export const className = maker<string>('CLASS')
export const password = maker<string>('PASSWORD')

/** The same setting, marked as known and checked but without effect. */
export function ignored<S extends Setting>(because: string, setting: S): S {
  return { ...setting, ignored: because }
}

export function atLeast(min: number): Valid {
  return { text: `[${min},...]`, fault: value => below(value, min) }
}

export function between(min: number, max: number): Valid {
  return {
    text: `[${min},...,${max}]`,
    fault: value => {
      if (typeof value === 'number' && value > max)
        return { why: `Value must be no more than ${max}` }
      return below(value, min)
    },
  }
}

/** A range and one number outside it that has a meaning of its own. */
export function betweenOr(min: number, max: number, other: number): Valid {
  return {
    text: `[${min},...,${max}] or ${other}`,
    fault: value =>
      value === other || (typeof value === 'number' && value >= min && value <= max)
        ? null
        : { why: `Value must be between ${min} and ${max} or equal to ${other}` },
  }
}

/** One of these, or for a list: nothing but these. */
export function oneOf(...choices: readonly string[]): Valid {
  return {
    text: `[${choices.join(', ')}]`,
    fault: value => {
      const items = typeof value === 'string' ? [value] : Array.isArray(value) ? value : []
      const wrong = items.find((item: string) => !choices.includes(item))
      if (wrong === undefined) return null
      return { why: `String must be one of: ${choices.join(', ')}`, shown: wrong }
    },
  }
}

export function oneOfAnyCase(...choices: readonly string[]): Valid {
  return {
    text: `(case insensitive) [${choices.join(', ')}]`,
    fault: value =>
      typeof value === 'string' && !choices.includes(value.toUpperCase())
        ? { why: `String must be one of (case insensitive): ${choices.join(', ')}` }
        : null,
  }
}

export const nonEmpty: Valid = {
  text: 'non-empty string',
  fault: value => (value === '' ? { why: 'String must be non-empty' } : null),
}

function below(value: SettingValue, min: number): Fault | null {
  // Written so that NaN is refused too.
  if (typeof value !== 'number' || value >= min) return null
  return { why: `Value must be at least ${min}` }
}

/** The text is not a value of this setting. */
export class InvalidSettingError extends Error {
  override readonly name = 'InvalidSettingError'

  constructor(name: string, shown: string | null, why: string) {
    super(`Invalid value ${shown} for configuration ${name}: ${why}`)
  }
}

/** The value of `text`; throws InvalidSettingError, which names the setting, the value and what would be valid. */
export function parseSetting<T extends SettingValue>(
  name: string,
  setting: Setting<T>,
  text: string,
): T {
  const value = parseText(name, setting.type, text)
  const fault = setting.valid?.fault(value, name) ?? null
  if (fault !== null) {
    throw new InvalidSettingError(name, fault.shown ?? formatValue(setting.type, value), fault.why)
  }
  return value as T
}

function parseText(name: string, type: SettingType, text: string): SettingValue {
  const trimmed = text.trim()
  switch (type) {
    case 'BOOLEAN': {
      const lower = trimmed.toLowerCase()
      if (lower === 'true' || lower === 'false') return lower === 'true'
      throw new InvalidSettingError(name, text, 'Expected value to be either true or false')
    }
    case 'SHORT':
      return parseInteger(name, type, trimmed, 15n)
    case 'INT':
      return parseInteger(name, type, trimmed, 31n)
    case 'LONG':
      return parseInteger(name, type, trimmed, 63n)
    case 'DOUBLE':
      return parseDouble(name, trimmed)
    case 'LIST':
      return trimmed === '' ? [] : [...new Set(trimmed.split(/\s*,\s*/))]
    default:
      return trimmed
  }
}

function parseInteger(name: string, type: SettingType, text: string, bits: bigint): number {
  if (/^[+-]?\d+$/.test(text)) {
    const value = BigInt(text.replace('+', ''))
    if (value >= -(1n << bits) && value < 1n << bits) return Number(value)
  }
  throw new InvalidSettingError(name, text, `Not a number of type ${type}`)
}

function parseDouble(name: string, text: string): number {
  // Java also takes a type letter behind the number.
  const match = /^([+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)[fd]?$/i.exec(text)
  if (match === null) throw new InvalidSettingError(name, text, 'Not a number of type DOUBLE')
  return Number(match[1])
}

/** The value as Kafka's tools show it. */
export function formatValue(type: SettingType, value: SettingValue): string | null {
  if (value === null) return null
  if (typeof value === 'object') return value.join(',')
  if (typeof value !== 'number') return String(value)
  if (type === 'DOUBLE') return formatDouble(value)
  return value >= INT64_MAX ? '9223372036854775807' : BigInt(value).toString()
}

/** `text`, known to be valid, as Kafka's tools show it; all digits of a LONG survive. */
export function canonicalText(name: string, setting: Setting, text: string): string {
  if (setting.type === 'LONG') return BigInt(text.trim().replace('+', '')).toString()
  return formatValue(setting.type, parseText(name, setting.type, text)) ?? ''
}

/** Java's spelling of a double: a decimal point always, an exponent outside [10^-3, 10^7). */
function formatDouble(value: number): string {
  const size = Math.abs(value)
  if (value === 0 || (size >= 1e-3 && size < 1e7)) {
    return Number.isInteger(value) ? `${value}.0` : String(value)
  }
  const [digits = '', exponent = ''] = value.toExponential().split('e')
  return `${digits.includes('.') ? digits : `${digits}.0`}E${exponent.replace('+', '')}`
}

export function defaultText(setting: Setting): string | null {
  return formatValue(setting.type, setting.defaultValue)
}

/** What the setting is for; for one without effect, that it has none and why. */
export function documentation(setting: Setting): string {
  if (setting.ignored === null) return setting.doc
  const notice = `Accepted for compatibility; no effect here, because ${setting.ignored}.`
  return setting.doc === '' ? notice : `${setting.doc} ${notice}`
}
