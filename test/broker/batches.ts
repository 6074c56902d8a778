/** Record batches for the tests of the broker, and what is in the ones it answers with. */
import { ZERO_UUID } from '../../protocol/buffer.ts'
import { type CodecName, codecs, isAsynchronous } from '../../protocol/compression.ts'
import { sizeInBytes } from '../../protocol/record-batch.ts'
import { type BatchOptions, decodeBatch, encodeBatch } from '../../protocol/records.ts'
import { START_MS } from './fake-network.ts'

/** Why tests of asynchronous codecs are skipped: where Node has zstd itself, there is none. */
export const noAsynchronousCodec =
  !isAsynchronous(codecs.zstd) && 'this Node has zstd, which is synchronous'

/** A batch of these values, at the fake clock's start. */
export async function batchOf(
  values: readonly string[],
  codec: CodecName = 'none',
  options: BatchOptions = {},
): Promise<Buffer> {
  const records = values.map(value => ({ timestamp: START_MS, value: Buffer.from(value) }))
  return await encodeBatch(records, codec, options)
}

/** The values in consecutive batches; what was cut off at the end does not count. */
export async function valuesOf(records: Buffer | null): Promise<string[]> {
  const values: string[] = []
  const bytes = records ?? Buffer.alloc(0)
  for (let at = 0; at + 61 <= bytes.length && at + sizeInBytes(bytes, at) <= bytes.length; ) {
    for (const { value } of await decodeBatch(bytes, at, 1 << 24)) values.push(String(value))
    at += sizeInBytes(bytes, at)
  }
  return values
}

/** A Produce request for one partition. */
export function produceOne(topic: string, index: number, records: Buffer | null, acks = 1) {
  return {
    acks,
    timeoutMs: 5000,
    topicData: [{ name: topic, partitionData: [{ index, records }] }],
  }
}

/** A Fetch request for one partition, by its topic's name (up to version 12) or its id (from 13). */
export function fetchOne(
  topic: string,
  index: number,
  fetchOffset: number,
  more: {
    maxWaitMs?: number
    minBytes?: number
    partitionMaxBytes?: number
    topicId?: string
  } = {},
) {
  const { maxWaitMs = 0, minBytes = 1, partitionMaxBytes = 1 << 20, topicId = ZERO_UUID } = more
  const partitions = [{ partition: index, fetchOffset, partitionMaxBytes }]
  return { maxWaitMs, minBytes, topics: [{ topic, topicId, partitions }] }
}
