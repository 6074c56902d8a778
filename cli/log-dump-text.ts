/**
 * What `ottla log dump` prints: the items of a log's files, and each as the line that Kafka's dump tool prints for it, so
 * that whatever reads that tool's output reads this.
 */
import * as batches from '../protocol/record-batch.ts'
import type { DecodedRecord } from '../protocol/records.ts'

export interface DumpOptions {
  readonly json?: boolean
  readonly deep?: boolean
  readonly printDataLog?: boolean
  readonly offsetsDecoder?: boolean
  readonly maxBatches?: number
}

/** One thing in a file; `type` says which, the other fields are Kafka's names. */
export type Item = { readonly type: string } & { readonly [field: string]: unknown }

/** How keys and values are shown. */
export interface RecordDecoder {
  decode(record: DecodedRecord): { readonly key: unknown; readonly value: unknown }
}

const CODECS = ['none', 'gzip', 'snappy', 'lz4', 'zstd']

/** As text where they are text, otherwise as base64. */
export const plainDecoder: RecordDecoder = {
  decode: ({ key, value }) => ({ key: shown(key), value: shown(value) }),
}

function shown(bytes: Buffer | null): unknown {
  if (bytes === null) return null
  const text = bytes.toString('utf8')
  return text.includes('\ufffd') ? { base64: bytes.toString('base64') } : text
}

/** What the header of a whole batch says, and whether its checksum is right. */
export function batchItem(batch: Buffer, position: number): Item {
  const stored = batches.crc(batch, 0)
  return {
    type: 'batch',
    baseOffset: batches.baseOffset(batch, 0),
    lastOffset: batches.lastOffset(batch, 0),
    count: batches.recordCount(batch, 0),
    baseSequence: batches.baseSequence(batch, 0),
    lastSequence: batches.lastSequence(batch, 0),
    producerId: batches.producerId(batch, 0),
    producerEpoch: batches.producerEpoch(batch, 0),
    partitionLeaderEpoch: batches.leaderEpoch(batch, 0),
    isTransactional: batches.isTransactional(batch, 0),
    isControl: batches.isControl(batch, 0),
    deleteHorizonMs: batches.hasDeleteHorizon(batch, 0) ? batches.baseTimestamp(batch, 0) : null,
    position,
    timestampType: batches.timestampType(batch, 0),
    maxTimestamp: batches.maxTimestamp(batch, 0),
    size: batch.length,
    magic: batches.magic(batch, 0),
    compresscodec: CODECS[batches.codec(batch, 0)] ?? `unknown (${batches.codec(batch, 0)})`,
    crc: stored,
    isvalid: batches.computeCrc(batch, 0) === stored,
  }
}

/** A record of `batch`; without a decoder its key and value are left out. */
export function recordItem(
  batch: Buffer,
  record: DecodedRecord,
  decoder: RecordDecoder | null,
): Item {
  const first = batches.baseSequence(batch, 0)
  const steps = record.offset - batches.baseOffset(batch, 0)
  const isControl = batches.isControl(batch, 0)
  return {
    type: 'record',
    offset: record.offset,
    timestampType: batches.timestampType(batch, 0),
    timestamp: record.timestamp,
    keySize: record.key?.length ?? -1,
    valueSize: record.value?.length ?? -1,
    sequence: first < 0 ? -1 : batches.sequenceAfter(first, steps),
    headerKeys: record.headers.map(({ key }) => key),
    ...(isControl ? controlFields(record) : decoder?.decode(record)),
  }
}

/** Key: int16 version, int16 type. Value of the two that end a transaction: int16 version, int32 coordinator epoch. */
function controlFields({ key, value }: DecodedRecord): { readonly [field: string]: unknown } {
  if (key === null || key.length < 4) return { controlType: 'unknown' }
  const type = key.readInt16BE(2)
  if (type > 1 || value === null || value.length < 6) return { controlType: type }
  return { endTxnMarker: type === 1 ? 'COMMIT' : 'ABORT', coordinatorEpoch: value.readInt32BE(2) }
}

/** The line for a person, or for a script that knows Kafka's tool. */
export function dumpText(item: Item, options: DumpOptions): string {
  const { type, ...fields } = item
  switch (type) {
    case 'log':
      return `Log starting offset: ${fields['baseOffset']}`
    case 'batch': {
      const { timestampType, maxTimestamp, deleteHorizonMs, ...rest } = fields
      const horizon = deleteHorizonMs === null ? '.empty' : `[${deleteHorizonMs}]`
      const text = pairs({ ...rest, deleteHorizonMs: `OptionalLong${horizon}` })
      // Kafka's place for these two.
      return text
        .replace(/( position: \d+)(.*)( deleteHorizonMs: \S+)$/, '$3$1$2')
        .replace(/ size: /, ` ${timestampType}: ${maxTimestamp} size: `)
    }
    case 'record':
      return recordText(fields, options)
    case 'producer':
      return producerText(fields)
    case 'topicId':
      return safe(String(fields['text']))
    case 'damage': {
      const rest =
        fields['bytesLeft'] === undefined ? '' : `; ${fields['bytesLeft']} bytes not read`
      return `Found damage at position ${fields['position']}: ${fields['problem']}${rest}`
    }
    default:
      return pairs(fields)
  }
}

function recordText(fields: { readonly [field: string]: unknown }, options: DumpOptions): string {
  const { timestampType, timestamp, headerKeys, key, value, ...rest } = fields
  const { offset, keySize, valueSize, sequence, ...control } = rest
  const keys = (headerKeys as string[]).map(safe).join(',')
  let text = `| offset: ${offset} ${timestampType}: ${timestamp} `
  text += `${pairs({ keySize, valueSize, sequence })} headerKeys: [${keys}]`
  if (Object.keys(control).length > 0) text += ` ${pairs(control)}`
  if (options.printDataLog !== true) return text
  if (key !== null && key !== undefined) text += ` key: ${valueText(key)}`
  if (value !== null && value !== undefined) text += ` payload: ${valueText(value)}`
  return text
}

function producerText(fields: { readonly [field: string]: unknown }): string {
  const { currentTxnFirstOffset: first, ...rest } = fields
  const open = first === null ? 'OptionalLong.empty' : `OptionalLong[${first}]`
  return pairs(rest).replace(/ lastTimestamp: /, ` currentTxnFirstOffset: ${open} lastTimestamp: `)
}

function pairs(fields: { readonly [field: string]: unknown }): string {
  return Object.entries(fields)
    .map(([name, value]) => `${name}: ${value}`)
    .join(' ')
}

function valueText(value: unknown): string {
  return typeof value === 'string' ? safe(value) : JSON.stringify(value)
}

/** Bytes of other people go to a terminal: what could move its cursor is spelled out. */
function safe(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: those are what this is about
  return text.replace(/[\u0000-\u001f\u007f-\u009f]/g, character => {
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
  })
}
