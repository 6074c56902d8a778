/**
 * A data directory that Kafka wrote, served by our broker: every record as Kafka's own dump tool lists it, to readers of
 * both isolation levels (the topic `transactions` has two committed and two aborted transactions).
 */
import assert from 'node:assert/strict'
import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { type EmbeddedBroker, startBroker } from '../../broker/embedded.ts'
import {
  baseOffset,
  isControl,
  isTransactional,
  lastOffset,
  producerId,
  recordCount,
  sizeInBytes,
} from '../../protocol/record-batch.ts'
import { decodeBatch } from '../../protocol/records.ts'
import { withoutGolden } from '../wire/golden.ts'
import { type DumpLine, type GoldenBatch, goldenBatches } from '../wire/golden-batches.ts'
import { RawClient } from './raw-client.ts'

const TOPICS = ['none', 'gzip', 'snappy', 'lz4', 'zstd', 'transactions', 'rolled']
const UNCOMMITTED = 0
const COMMITTED = 1
/** What a consumer does with control batches and aborted transactions is its own affair: this one lists what remains. */
const COMMITTED_OFFSETS = [0, 1, 2, 3, 4, 12, 13, 14, 15, 16]

interface Seen {
  readonly batches: string[]
  readonly records: string[]
}

/** One record in the words of the dump, as far as the dump has them. */
function shown(record: DumpLine): string {
  const { offset, CreateTime, keySize, valueSize, headerKeys, key = '', payload = '' } = record
  return [offset, CreateTime, keySize, valueSize, headerKeys, key, payload].join(' | ')
}

async function read(client: RawClient, topic: string, isolationLevel: number): Promise<Seen> {
  const seen: Seen = { batches: [], records: [] }
  const aborted = new Map<number, number[]>()
  for (let offset = 0; ; ) {
    const asked = { partition: 0, fetchOffset: offset, partitionMaxBytes: 700 }
    const answer = await client.call('Fetch', 11, {
      replicaId: -1,
      maxWaitMs: 0,
      minBytes: 0,
      isolationLevel,
      topics: [{ topic, partitions: [asked] }],
    })
    const partition = answer.responses[0]!.partitions[0]!
    assert.equal(partition.errorCode, 0)
    for (const { producerId: id, firstOffset } of partition.abortedTransactions ?? []) {
      const known = aborted.get(id) ?? []
      if (!known.includes(firstOffset))
        aborted.set(
          id,
          [...known, firstOffset].sort((a, b) => a - b),
        )
    }
    const bytes = partition.records!
    const from = offset
    for (let p = 0; p + 61 <= bytes.length && p + sizeInBytes(bytes, p) <= bytes.length; ) {
      await take(seen, bytes, p, offset, aborted)
      offset = lastOffset(bytes, p) + 1
      p += sizeInBytes(bytes, p)
    }
    if (offset === from) return seen
  }
}

/** Adds what a consumer at `offset` would show of one batch. */
async function take(
  seen: Seen,
  bytes: Buffer,
  p: number,
  offset: number,
  aborted: Map<number, number[]>,
): Promise<void> {
  seen.batches.push(`${baseOffset(bytes, p)}-${lastOffset(bytes, p)} ${recordCount(bytes, p)}`)
  const starts = aborted.get(producerId(bytes, p)) ?? []
  if (isControl(bytes, p)) {
    // The marker of an aborted transaction, if one has begun before it; another is a commit.
    if (starts[0] !== undefined && starts[0] < baseOffset(bytes, p)) starts.shift()
    return
  }
  if (isTransactional(bytes, p) && starts.some(start => start <= baseOffset(bytes, p))) return
  for (const record of await decodeBatch(bytes, p, 1 << 20)) {
    if (record.offset < offset) continue
    const headerKeys = `[${(record.headers ?? []).map(header => header.key).join(',')}]`
    seen.records.push(
      shown({
        offset: String(record.offset),
        CreateTime: String(record.timestamp),
        keySize: String(record.key?.length ?? -1),
        valueSize: String(record.value?.length ?? -1),
        headerKeys,
        key: record.key?.toString() ?? '',
        payload: record.value?.toString() ?? '',
      }),
    )
  }
}

function expected(batches: readonly GoldenBatch[], topic: string) {
  const own = batches.filter(({ label }) => label.startsWith(`${topic}-0/`))
  const data = own.filter(({ batch }) => batch['isControl'] === 'false')
  return {
    batches: own.map(
      ({ batch }) => `${batch['baseOffset']}-${batch['lastOffset']} ${batch['count']}`,
    ),
    records: data.flatMap(({ records }) => records),
  }
}

describe('a directory of Kafka is served', { skip: withoutGolden }, () => {
  let directory: string
  let broker: EmbeddedBroker
  let client: RawClient
  let golden: readonly GoldenBatch[]

  before(async () => {
    golden = goldenBatches()
    directory = mkdtempSync(join(tmpdir(), 'ottla-adopted-'))
    cpSync(resolve('../shared/kafka-protocol/data-dir'), directory, { recursive: true })
    broker = await startBroker({ dataDir: directory })
    client = await RawClient.connect(broker.port)
  })

  after(async () => {
    client?.socket.destroy()
    await broker?.stop()
    rmSync(directory, { recursive: true, force: true })
  })

  for (const topic of TOPICS) {
    test(`${topic}: every batch and record as the dump lists them`, async () => {
      const { batches, records } = expected(golden, topic)
      assert(batches.length > 0)
      const seen = await read(client, topic, UNCOMMITTED)
      assert.deepEqual(seen.batches, batches)
      if (records.length > 0) {
        assert.deepEqual(seen.records, records.map(shown))
      } else assert.equal(seen.records.length, 280, 'the dump of this topic lists batches only')
    })

    test(`${topic}: a reader of committed records gets what is committed`, async () => {
      const { records } = expected(golden, topic)
      const seen = await read(client, topic, COMMITTED)
      if (records.length === 0) return assert.equal(seen.records.length, 280)
      const committed = records.filter(
        ({ offset }) => topic !== 'transactions' || COMMITTED_OFFSETS.includes(Number(offset)),
      )
      assert.deepEqual(seen.records, committed.map(shown))
    })
  }
})
