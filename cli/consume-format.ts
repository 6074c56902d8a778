/** What `ottla consume` prints for a record. */
import { isUtf8 } from 'node:buffer'
import type { ConsumerRecord } from '../client/fetched-records.ts'

export type Read = ConsumerRecord<Buffer, Buffer>

export const FORMAT_HELP =
  '%k key, %v value, %o offset, %p partition, %t topic, %T time, %h headers'

/** A line that `ottla produce --json` reads. Bytes that are no text are in base 64. */
export function jsonLine({
  topic,
  partition,
  offset,
  timestampMs,
  key,
  value,
  headers,
}: Read): string {
  const list = headers.map(header => ({ key: header.key, ...part('value', header.value) }))
  const time = new Date(timestampMs).toISOString()
  const record = { topic, partition, offset, time, ...part('key', key), ...part('value', value) }
  return `${JSON.stringify({ ...record, headers: list })}\n`
}

function part(name: string, bytes: Buffer | null): Readonly<Record<string, string | null>> {
  if (bytes === null) return { [name]: null }
  if (isUtf8(bytes)) return { [name]: bytes.toString('utf8') }
  return { [`${name}Base64`]: bytes.toString('base64') }
}

const ESCAPES: { readonly [text: string]: string } = { '\\n': '\n', '\\t': '\t', '\\\\': '\\' }

/** How records look in a format of the user's (FORMAT_HELP); `\n`, `\t`, `\\` and `%%` are what they are elsewhere. */
export function formatter(format: string): (record: Read) => string {
  const parts = format.match(/%[kvoptTh%]|\\[nt\\]|[^%\\]+|[%\\]/g) ?? []
  return record => parts.map(part => ESCAPES[part] ?? field(part, record)).join('')
}

function field(part: string, record: Read): string {
  switch (part) {
    case '%k':
      return record.key?.toString('utf8') ?? ''
    case '%v':
      return record.value?.toString('utf8') ?? ''
    case '%o':
      return String(record.offset)
    case '%p':
      return String(record.partition)
    case '%t':
      return record.topic
    case '%T':
      return new Date(record.timestampMs).toISOString()
    case '%h':
      return record.headers.map(({ key, value }) => `${key}=${value?.toString() ?? ''}`).join(',')
    case '%%':
      return '%'
    default:
      return part
  }
}
