/**
 * What it costs to check a producer's batch: CPU by gigabyte of records and by record, for each codec that is checked on
 * the loop, and the share of a plain CRC. `node dist/bench/validate.js`
 */
import { cpus } from 'node:os'
import { batchPolicy } from '../broker/replication/replica-manager.ts'
import { crc32c } from '../protocol/crc32c.ts'
import { encodeBatch, type RecordInput } from '../protocol/records.ts'
import { defaultLogConfig } from '../segment-store/config.ts'
import { validateBatch } from '../segment-store/validator.ts'

const RUN_MS = 400
const policy = batchPolicy(defaultLogConfig)

/** CPU microseconds of one call, after a warm-up. */
function cpuOf(call: () => unknown): number {
  for (let end = performance.now() + RUN_MS; performance.now() < end; ) call()
  const before = process.cpuUsage()
  let calls = 0
  for (let end = performance.now() + RUN_MS; performance.now() < end; calls++) call()
  const { user, system } = process.cpuUsage(before)
  return (user + system) / calls
}

function noise(size: number): Buffer {
  return Buffer.from(Array.from({ length: size }, () => 65 + Math.floor(Math.random() * 26)))
}

function json(i: number): Buffer {
  const text = 'lorem ipsum dolor sit amet '.repeat(1 + (i % 5))
  const user = `user-${(i * 7919) % 1000}`
  return Buffer.from(JSON.stringify({ id: i, user, action: ['view', 'buy'][i % 2], text }))
}

const shapes: readonly { name: string; records: RecordInput[] }[] = [
  { name: '16 KB of 100 B', records: records(150, () => noise(100)) },
  { name: '120 KB of 1 KB', records: records(118, () => noise(1024)) },
  { name: '110 KB of JSON', records: records(900, json) },
]

function records(count: number, value: (i: number) => Buffer): RecordInput[] {
  const timestamp = Date.now()
  return Array.from({ length: count }, (_, i) => ({
    key: null,
    value: value(i),
    headers: [],
    timestamp,
  }))
}

console.log(`${cpus()[0]?.model}, Node ${process.version}`)
console.log('batch            codec   µs a batch   ns a record   s/GB of records   CRC alone µs')
for (const { name, records } of shapes) {
  const size = (encodeBatch(records) as Buffer).length
  for (const codec of ['none', 'lz4', 'snappy', 'gzip'] as const) {
    const batch = encodeBatch(records, codec) as Buffer
    const micros = cpuOf(() => validateBatch(batch, policy, Date.now()))
    const crc = cpuOf(() => crc32c(batch, 21, batch.length))
    const cells = [
      name.padEnd(16),
      codec.padEnd(7),
      micros.toFixed(1).padStart(10),
      ((micros * 1000) / records.length).toFixed(0).padStart(13),
      ((micros * 1000) / size).toFixed(2).padStart(17),
      crc.toFixed(1).padStart(14),
    ]
    console.log(cells.join(' '))
  }
}
