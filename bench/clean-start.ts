/**
 * How long a clean start takes with many partitions, and what it reads: 2,000 partitions with 5 segments each under
 * `ulimit -n 1024`, beside a plain readdir and stat of the same tree.
 *
 *   node dist/bench/clean-start.js [partitions] [segments] [starts] [directory to keep and use again]
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { Broker } from '../broker/broker.ts'
import { loadConfig } from '../broker/config.ts'
import { silentLogger } from '../broker/logger.ts'
import { Metrics } from '../broker/metrics.ts'
import { BufferPool } from '../protocol/buffer-pool.ts'
import { encodeBatch } from '../protocol/records.ts'
import { systemIo } from '../protocol/system-io.ts'
import { defaultLogConfig } from '../segment-store/config.ts'
import { LogDirectory } from '../segment-store/log-directory.ts'
import { SystemDisk } from '../segment-store/system-disk.ts'

const partitions = Number(process.argv[2] ?? 2000)
const segments = Number(process.argv[3] ?? 5)
const starts = Number(process.argv[4] ?? 3)
const TOPIC = 'many'
const SEGMENT_BYTES = 16 * 1024
const overrides = ['listeners=PLAINTEXT://127.0.0.1:0', 'metrics.listener=']

/** Asks the system for everything; syncs are not what is measured here. */
class UnsyncedDisk extends SystemDisk {
  override async syncDirectory(): Promise<void> {}

  override async replaceFile(path: string, bytes: Buffer): Promise<void> {
    fs.writeFileSync(path, bytes)
  }
}

/** Counts what a start asks for, by kind and by the file's ending. */
class CountingDisk extends SystemDisk {
  readonly counts = new Map<string, number>()

  override open(path: string, options?: { create?: boolean; readOnly?: boolean }) {
    this.count('open', path)
    return super.open(path, options)
  }

  override readFile(path: string): Promise<Buffer | null> {
    this.count('read', path)
    return super.readFile(path)
  }

  override openSync(path: string) {
    this.count('open', path)
    return super.openSync(path)
  }

  override readFileSync(path: string): Buffer | null {
    this.count('read', path)
    return super.readFileSync(path)
  }

  override list(path: string) {
    this.count('list', '')
    return super.list(path)
  }

  private count(kind: string, path: string): void {
    const key = `${kind} ${/\d{20}(\.\w+)$/.exec(path)?.[1] ?? path.split('/').at(-1)}`.trim()
    this.counts.set(key, (this.counts.get(key) ?? 0) + 1)
  }
}

async function startInProcess(dataDir: string, disk: SystemDisk): Promise<Broker> {
  const config = loadConfig({ overrides, flags: { dataDir } })
  const metrics = new Metrics()
  const io = systemIo()
  return await Broker.start({ config, io, disk, logger: silentLogger, metrics, version: 'bench' })
}

/** A directory that a broker left cleanly: one topic, its logs with so many segments. */
async function prepare(dataDir: string): Promise<void> {
  const broker = await startInProcess(dataDir, new UnsyncedDisk())
  const replicationFactor = 1
  const topic = { name: TOPIC, numPartitions: partitions, replicationFactor, assignments: [] }
  await broker.controller.createTopics([{ ...topic, configs: {} }])
  const { id } = broker.image.topics.get(TOPIC)!
  await broker.stop()
  const io = systemIo()
  const directory = await LogDirectory.open({
    path: dataDir,
    disk: new UnsyncedDisk(),
    io,
    buffers: new BufferPool(1 << 20),
    producerIdExpirationMs: 86_400_000,
  })
  const nowMs = Date.now()
  const records = Array.from({ length: 10 }, () => ({ timestamp: nowMs, value: Buffer.alloc(370) }))
  const batch = await encodeBatch(records, 'none')
  const config = { ...defaultLogConfig, segmentBytes: SEGMENT_BYTES }
  const batches = Math.floor(SEGMENT_BYTES / batch.length) * segments
  for (let index = 0; index < partitions; index++) {
    const log = await directory.openLog(TOPIC, index, id, config, { written() {}, failed() {} })
    for (let i = 0; i < batches; i++) {
      log.append(batch, nowMs, 9, 0, nowMs)
      await log.flushNow()
    }
    await log.close()
  }
  await directory.close()
}

function walk(directory: string): number {
  let files = 0
  for (const entry of fs.readdirSync(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name)
    if (entry.isDirectory()) files += walk(path)
    else files += fs.statSync(path).size >= 0 ? 1 : 0
  }
  return files
}

async function walkInPool(directory: string): Promise<void> {
  for (const entry of await fs.promises.readdir(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name)
    if (entry.isDirectory()) await walkInPool(path)
    else await fs.promises.stat(path)
  }
}

const took = async (run: () => unknown): Promise<string> => {
  const startMs = performance.now()
  await run()
  return `${(performance.now() - startMs).toFixed(0)} ms`
}

/** What /proc says of a process. */
function statusOf(pid: number) {
  const field = (text: string, name: string) =>
    Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(text)?.[1] ?? 0)
  const status = fs.readFileSync(`/proc/${pid}/status`, 'utf8')
  const [, , ...stat] = fs.readFileSync(`/proc/${pid}/stat`, 'utf8').split(' ')
  const cpuSeconds = (Number(stat[11]) + Number(stat[12])) / 100
  const descriptors = fs.readdirSync(`/proc/${pid}/fd`).length
  return { rssMb: field(status, 'VmRSS') / 1024, cpuSeconds, descriptors }
}

async function startProcess(dataDir: string): Promise<void> {
  const ottla = [process.execPath, join(process.cwd(), 'bin', 'ottla'), 'broker']
  const flags = ['--data-dir', dataDir, ...overrides.flatMap(each => ['--override', each])]
  const script = `ulimit -n 1024; exec ${[...ottla, ...flags].join(' ')}`
  const startMs = performance.now()
  const child = spawn('sh', ['-c', script], { stdio: ['ignore', 'pipe', 'inherit'] })
  for await (const line of createInterface(child.stdout)) {
    if (!line.includes('broker ready')) continue
    const readyMs = performance.now() - startMs
    const { rssMb, cpuSeconds, descriptors } = statusOf(child.pid!)
    console.log(
      `ready after ${readyMs.toFixed(0)} ms, ${cpuSeconds.toFixed(2)} s of CPU, ` +
        `${rssMb.toFixed(0)} MB resident, ${descriptors} descriptors`,
    )
    break
  }
  child.kill('SIGTERM')
  const stopMs = performance.now()
  child.stdout.resume()
  await once(child, 'exit')
  console.log(`stopped after ${(performance.now() - stopMs).toFixed(0)} ms`)
}

const kept = process.argv[5]
const home = kept ?? fs.mkdtempSync(join(tmpdir(), 'ottla-clean-start-'))
const dataDir = join(home, 'data')
try {
  console.log(`node ${process.version}, ${cpus()[0]?.model}`)
  if (!fs.existsSync(dataDir)) {
    const madeIn = await took(() => prepare(dataDir))
    console.log(`${partitions} partitions with ${segments} segments: made in ${madeIn}`)
  }
  let files = 0
  const plain = await took(() => {
    files = walk(dataDir)
  })
  console.log(
    `plain readdir and stat of ${files} files: ${plain}, through the pool`,
    await took(() => walkInPool(dataDir)),
  )
  for (let i = 0; i < starts; i++) await startProcess(dataDir)
  const disk = new CountingDisk()
  const broker = await startInProcess(dataDir, disk)
  const counted = [...disk.counts].filter(([, count]) => count > 10)
  console.log(`asked of the disk: ${counted.map(([key, count]) => `${count} × ${key}`).join(', ')}`)
  await broker.stop()
} finally {
  if (kept === undefined) fs.rmSync(home, { recursive: true, force: true })
}
