/** `ottla log verify`: the scrubber (segment-store/log-check.ts) over any number of directories. */
import { setTimeout as wait } from 'node:timers/promises'
import { checkLog } from '../segment-store/log-check.ts'
import type { Problem } from '../segment-store/segment-check.ts'
import type { SystemDisk } from '../segment-store/system-disk.ts'
import type { Terminal } from './context.ts'
import { ProblemsFoundError } from './failure.ts'
import { logDirectories } from './log-directories.ts'

export interface VerifyOptions {
  readonly json?: boolean
  readonly quiet?: boolean
}

const PROGRESS_EVERY_MS = 1000
const SETTLE_MS = 300

/** Prints a line for each problem and a summary. @throws ProblemsFoundError if there was any */
export async function verifyDirectories(
  disk: SystemDisk,
  directories: readonly string[],
  options: VerifyOptions,
  terminal: Terminal,
): Promise<void> {
  const logs: string[] = []
  for (const directory of directories) logs.push(...(await logDirectories(disk, directory)))
  const total = { logs: logs.length, segments: 0, batches: 0, records: 0, bytes: 0, problems: 0 }
  const progress = new Progress(options.quiet === true ? null : terminal, await bytesOf(disk, logs))
  for (const directory of logs) {
    const result = await checkLog({
      disk,
      directory,
      onBytes: bytes => progress.read(bytes, directory),
      settle: () => wait(SETTLE_MS),
    })
    total.segments += result.segments
    total.batches += result.batches
    total.records += result.records
    total.bytes += result.bytes
    total.problems += result.problems.length
    for (const problem of result.problems) terminal.out(problemLine(problem, options))
  }
  if (options.json === true) terminal.out(`${JSON.stringify({ type: 'summary', ...total })}\n`)
  else {
    const { batches, records, bytes } = total
    const what = `${total.logs} logs, ${total.segments} segments, ${batches} batches, ${records} records`
    terminal.out(`${what}, ${bytes} bytes checked; problems: ${total.problems}\n`)
  }
  if (total.problems > 0) throw new ProblemsFoundError(`problems were found: ${total.problems}`)
}

function problemLine({ file, position, problem }: Problem, { json }: VerifyOptions): string {
  if (json === true) {
    const where = position < 0 ? {} : { position }
    return `${JSON.stringify({ type: 'problem', file, ...where, problem })}\n`
  }
  return position < 0 ? `${file}: ${problem}\n` : `${file} at ${position}: ${problem}\n`
}

async function bytesOf(disk: SystemDisk, directories: readonly string[]): Promise<number> {
  let total = 0
  for (const directory of directories) {
    for (const { name, size } of await disk.list(directory))
      if (name.endsWith('.log')) total += size
  }
  return total
}

/** A line a second on standard error. */
class Progress {
  private readonly terminal: Terminal | null
  private readonly totalBytes: number
  private bytes = 0
  private nextMs = performance.now() + PROGRESS_EVERY_MS

  constructor(terminal: Terminal | null, totalBytes: number) {
    this.terminal = terminal
    this.totalBytes = totalBytes
  }

  read(bytes: number, directory: string): void {
    this.bytes += bytes
    const nowMs = performance.now()
    if (this.terminal === null || nowMs < this.nextMs) return
    this.nextMs = nowMs + PROGRESS_EVERY_MS
    const done = `${mebibytes(this.bytes)} of ${mebibytes(this.totalBytes)} MiB`
    this.terminal.err(`${done} checked, in ${directory}\n`)
  }
}

function mebibytes(bytes: number): string {
  return (bytes / 1024 / 1024).toFixed(1)
}
