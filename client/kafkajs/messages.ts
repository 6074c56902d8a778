/** Records as kafkajs gives them to handlers: offsets and times as text, headers by name. */
import type { RecordHeader } from '../../protocol/records.ts'
import type { ConsumerBatch } from '../consumer-handlers.ts'
import type { ConsumerRecord } from '../fetched-records.ts'
import type { BatchPayload } from './events.ts'
import type { Batch, IHeaders, KafkaMessage } from './shapes.ts'

function headersOf(list: readonly RecordHeader[]): IHeaders {
  const headers: Record<string, Buffer | Buffer[]> = {}
  for (const { key, value } of list) {
    const known = headers[key]
    const bytes = value as Buffer
    headers[key] = known === undefined ? bytes : [known, bytes].flat()
  }
  return headers
}

function messageOf({ offset, timestampMs, key, value, headers }: ConsumerRecord): KafkaMessage {
  return {
    magicByte: 2,
    attributes: 0,
    timestamp: String(timestampMs),
    offset: String(offset),
    key,
    value,
    headers: headersOf(headers),
    isControlRecord: false,
  } as KafkaMessage
}

/** `batch` is never empty. */
export function batchOf({ topic, partition, records, highWatermark }: ConsumerBatch): Batch {
  const first = records[0]!.offset
  const last = records.at(-1)!.offset
  return {
    topic,
    partition,
    highWatermark: String(highWatermark),
    messages: records.map(messageOf),
    isEmpty: () => false,
    firstOffset: () => String(first),
    lastOffset: () => String(last),
    offsetLag: () => String(highWatermark - 1 - last),
    offsetLagLow: () => String(highWatermark - 1 - first),
  }
}

export function batchPayload(batch: Batch): BatchPayload {
  const { topic, partition, highWatermark, messages } = batch
  return {
    topic,
    partition,
    highWatermark,
    offsetLag: batch.offsetLag(),
    offsetLagLow: batch.offsetLagLow(),
    batchSize: messages.length,
    firstOffset: batch.firstOffset()!,
    lastOffset: batch.lastOffset(),
  }
}
