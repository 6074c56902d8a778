/** From a line of text or JSON to a record. What a line lacks is told with its place. */
import type { HeaderValue, Message } from '../client/record-input.ts'
import type { Bytes } from '../client/serializers.ts'
import { UsageError } from './failure.ts'

export interface LineRecord extends Omit<Message<Bytes, Bytes>, 'headers'> {
  readonly headers?: readonly Header[]
}

interface Header {
  readonly key: string
  readonly value: HeaderValue
}

/** The line is the value, or with a separator key and value. @throws UsageError */
export function recordOfText(
  line: string,
  separator: string | undefined,
  where: string,
): LineRecord {
  if (separator === undefined) return { value: line }
  const at = line.indexOf(separator)
  if (at < 0) throw new UsageError(`${where} has no '${separator}': it would have no key.`)
  return { key: line.slice(0, at), value: line.slice(at + separator.length) }
}

/**
 * An object with `value` and, if wanted, `key`, `headers`, `partition`, `timestampMs` or `time`. Key and value are text,
 * anything else in JSON, or bytes as `keyBase64` and `valueBase64`; headers are an object or a list of key and value. What
 * `ottla consume --json` prints is that; its topic and offset are left out of account. @throws UsageError
 */
export function recordOfJson(line: string, where: string): LineRecord {
  let object: unknown
  try {
    object = JSON.parse(line)
  } catch {
    throw new UsageError(`${where} is no JSON.`)
  }
  if (typeof object !== 'object' || object === null || Array.isArray(object)) {
    throw new UsageError(`${where} is no JSON object with a value.`)
  }
  const fields = object as Readonly<Record<string, unknown>>
  const partition = numberOf(fields['partition'], 'partition', where)
  const timestampMs = timeOf(fields, where)
  return {
    key: bytesOf(fields, 'key'),
    value: bytesOf(fields, 'value'),
    headers: headersOf(fields['headers'], where),
    ...(partition === undefined ? {} : { partition }),
    ...(timestampMs === undefined ? {} : { timestampMs }),
  }
}

function bytesOf(fields: Readonly<Record<string, unknown>>, name: string): Bytes | null {
  const base64 = fields[`${name}Base64`]
  if (typeof base64 === 'string') return Buffer.from(base64, 'base64')
  const part = fields[name] ?? null
  return part === null || typeof part === 'string' ? part : JSON.stringify(part)
}

function numberOf(value: unknown, name: string, where: string): number | undefined {
  if (value === undefined || Number.isSafeInteger(value)) return value as number | undefined
  throw new UsageError(`${where}: ${name} is no whole number.`)
}

function timeOf(fields: Readonly<Record<string, unknown>>, where: string): number | undefined {
  const { timestampMs, time } = fields
  if (timestampMs !== undefined || time === undefined) {
    return numberOf(timestampMs, 'timestampMs', where)
  }
  const ms = Date.parse(String(time))
  if (Number.isNaN(ms)) throw new UsageError(`${where}: time is no time as 2026-01-31T12:00:00Z.`)
  return ms
}

function headersOf(given: unknown, where: string): Header[] {
  if (given === undefined || given === null) return []
  if (Array.isArray(given)) {
    return given.map((one: Readonly<Record<string, unknown>> | null) => {
      const key = one?.['key']
      if (typeof key !== 'string') throw new UsageError(`${where}: a header has no key.`)
      return { key, value: bytesOf(one!, 'value') }
    })
  }
  if (typeof given !== 'object') throw new UsageError(`${where}: headers is no object or list.`)
  return Object.entries(given).map(([key, value]) => ({
    key,
    value: bytesOf({ value: value as unknown }, 'value'),
  }))
}
