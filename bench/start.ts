/**
 * How long a start takes: from spawning `ottla broker` to the first acknowledged record, on an empty directory and on
 * the directory it left behind; and of `startBroker` in a process that is warm. `node dist/bench/start.js [starts]`; prints
 * one line a start of a process, the medians and the fastest.
 */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { startBroker } from '../broker/embedded.ts'
import { Connection } from '../client/connection.ts'
import { encodeBatch } from '../protocol/records.ts'
import { systemIo } from '../protocol/system-io.ts'

const OTTLA = process.env['OTTLA_BIN'] ?? join(process.cwd(), 'bin', 'ottla')
const PORT = 19_292
const TOPIC = 'first'
const io = systemIo()

const options = {
  host: '127.0.0.1',
  port: PORT,
  clientId: 'bench-start',
  connectTimeoutMs: 5000,
  requestTimeoutMs: 5000,
  maxResponseBytes: 1 << 20,
}

async function connected(deadlineMs: number, port = PORT): Promise<Connection> {
  for (;;) {
    try {
      return await Connection.open(io, { ...options, port })
    } catch (error) {
      if (performance.now() > deadlineMs) throw error
      await new Promise(resolve => setTimeout(resolve, 2))
    }
  }
}

/** Produces one record to a topic that Metadata creates on the way; throws unless it was acknowledged. */
async function acknowledgedRecord(connection: Connection): Promise<void> {
  const metadata = await connection.send('Metadata', {
    topics: [{ name: TOPIC }],
    allowAutoTopicCreation: true,
  })
  const topicId = metadata.topics[0]?.topicId
  if (topicId === undefined) throw new Error('the topic was not created')
  const records = await encodeBatch([{ timestamp: Date.now(), value: Buffer.from('first') }])
  const produced = await connection.send('Produce', {
    acks: -1,
    timeoutMs: 5000,
    topicData: [{ name: TOPIC, topicId, partitionData: [{ index: 0, records }] }],
  })
  const code = produced.responses[0]?.partitionResponses[0]?.errorCode
  if (code !== 0) throw new Error(`the record was refused with error ${code}`)
}

interface Start {
  readonly connectedMs: number
  readonly acknowledgedMs: number
}

async function measure(dataDir: string): Promise<Start> {
  const args = ['broker', '--port', String(PORT), '--data-dir', dataDir]
  const start = performance.now()
  const child = spawn(process.execPath, [OTTLA, ...args, '--override', 'metrics.listener='], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  try {
    const connection = await connected(start + 20_000)
    const connectedMs = performance.now() - start
    await acknowledgedRecord(connection)
    const acknowledgedMs = performance.now() - start
    connection.close()
    return { connectedMs, acknowledgedMs }
  } finally {
    child.kill('SIGTERM')
    await once(child, 'exit')
  }
}

/** A broker in this process, from `startBroker` to the first acknowledged record. */
async function measureEmbedded(): Promise<Start> {
  const start = performance.now()
  const broker = await startBroker()
  const connection = await connected(start + 20_000, broker.port)
  const connectedMs = performance.now() - start
  await acknowledgedRecord(connection)
  const acknowledgedMs = performance.now() - start
  connection.close()
  await broker.stop()
  return { connectedMs, acknowledgedMs }
}

/** The fastest as well: on a busy machine it is the one that was least kept waiting. */
const summary = (starts: readonly Start[]): string => {
  const sorted = starts.map(start => start.acknowledgedMs).sort((a, b) => a - b)
  const median = sorted[Math.floor(sorted.length / 2)]
  return `${median?.toFixed(0)} ms (fastest ${sorted[0]?.toFixed(0)} ms)`
}

const count = Number(process.argv[2] ?? 5)
const firsts: Start[] = []
const agains: Start[] = []
const directory = mkdtempSync(join(tmpdir(), 'ottla-start-'))
try {
  for (let i = 0; i < count; i++) {
    const dataDir = join(directory, String(i))
    for (const [kind, list] of [
      ['first', firsts],
      ['again', agains],
    ] as const) {
      const start = await measure(dataDir)
      list.push(start)
      console.log(
        `${kind}\tanswers after ${start.connectedMs.toFixed(0)} ms\tacknowledged after ${start.acknowledgedMs.toFixed(0)} ms`,
      )
    }
  }
} finally {
  rmSync(directory, { recursive: true, force: true })
}
console.log(`node ${process.version}, ${cpus()[0]?.model}`)
console.log(`median of ${count}: first ${summary(firsts)}, again ${summary(agains)}`)

const WARM_UP = 20
const embedded: Start[] = []
for (let i = -WARM_UP; i < 10 * count; i++) {
  const start = await measureEmbedded()
  if (i >= 0) embedded.push(start)
}
console.log(`startBroker, median of ${embedded.length}: ${summary(embedded)}`)
