/** Facts about the machine, and what brokers on it use: from /proc, or from their metrics endpoint. */
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { cpus, hostname, loadavg, release, totalmem, type } from 'node:os'
import type { Address } from '../client/config.ts'

export interface Machine {
  readonly host: string
  readonly cpu: string
  readonly cores: number
  readonly memoryBytes: number
  readonly system: string
  readonly node: string
}

export function machineFacts(): Machine {
  const list = cpus()
  return {
    host: hostname(),
    cpu: list[0]?.model.trim() ?? 'unknown',
    cores: list.length,
    memoryBytes: totalmem(),
    system: `${type()} ${release()}`,
    node: process.version,
  }
}

/** Processor and Node, in words. */
export function machineText({ cores, cpu, node }: Machine): string {
  return `${cores} × ${cpu}, Node ${node}`
}

/** How many processes wanted a processor lately: over 1, 5 and 15 minutes. */
export function loadText(): string {
  return loadavg()
    .map(value => value.toFixed(1))
    .join(' ')
}

/** Of all brokers together. */
export interface Usage {
  readonly cpuSeconds: number
  readonly rssBytes: number
}

/** Asks what the brokers have used so far; null where nobody says. */
export type UsageProbe = () => Promise<Usage | null>

/** The processes that listen at these addresses of this machine. */
export function listeningPids(addresses: readonly Address[]): number[] {
  const ports = addresses.filter(({ host }) => isLocal(host)).map(({ port }) => port)
  const inodes = new Set(['/proc/net/tcp', '/proc/net/tcp6'].flatMap(f => listeners(f, ports)))
  if (inodes.size === 0) return []
  return numbersIn('/proc').filter(pid => {
    const folder = `/proc/${pid}/fd`
    return namesIn(folder).some(fd => inodes.has(socketOf(`${folder}/${fd}`)))
  })
}

function isLocal(host: string): boolean {
  return ['localhost', '127.0.0.1', '::1', hostname()].includes(host)
}

/** Inodes of the sockets that listen on these ports (state 0A). */
function listeners(file: string, ports: readonly number[]): string[] {
  if (!existsSync(file)) return []
  const rows = readFileSync(file, 'utf8').trim().split('\n').slice(1)
  return rows.flatMap(row => {
    const fields = row.trim().split(/\s+/)
    const port = Number.parseInt(fields[1]?.split(':')[1] ?? '', 16)
    return fields[3] === '0A' && ports.includes(port) ? [`socket:[${fields[9]}]`] : []
  })
}

function numbersIn(folder: string): number[] {
  return namesIn(folder)
    .filter(name => /^\d+$/.test(name))
    .map(Number)
}

/** Processes come and go, and some are not ours to look into. */
export function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}

function socketOf(path: string): string {
  try {
    return readlinkSync(path)
  } catch {
    return ''
  }
}

/** Ticks a second of /proc/stat and /proc/PID/stat: 100 on every Linux that Node runs on. */
const TICKS = 100

export function processProbe(pids: readonly number[]): UsageProbe {
  return async () => {
    let [cpuSeconds, rssBytes] = [0, 0]
    for (const pid of pids) {
      try {
        const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
        // The name of the program stands in parentheses and may hold anything.
        const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
        cpuSeconds += (Number(fields[11]) + Number(fields[12])) / TICKS
        const kib = /^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
        // One that has ended and that nobody has asked for its code.
        if (kib === undefined) return null
        rssBytes += Number(kib) * 1024
      } catch {
        return null
      }
    }
    return pids.length === 0 ? null : { cpuSeconds, rssBytes }
  }
}

/** Processor seconds so far of the whole machine, and of what runs on it for the bench. */
export interface Busy {
  /** Of everybody, and what a host has taken from this machine for others. */
  readonly all: number
  /** Those that run here. */
  readonly brokers: number
  readonly bench: number
}

/** Null where the system does not say, and when one of the processes is gone. */
export async function busyOf(
  brokers: readonly number[],
  bench: readonly number[],
): Promise<Busy | null> {
  const [all, ofBench] = [machineCpuSeconds(), await processProbe(bench)()]
  const ofBrokers = brokers.length === 0 ? NOTHING : await processProbe(brokers)()
  if (all === null || ofBench === null || ofBrokers === null) return null
  return { all, brokers: ofBrokers.cpuSeconds, bench: ofBench.cpuSeconds }
}

const NOTHING: Usage = { cpuSeconds: 0, rssBytes: 0 }

/** Without interrupts: those of the loopback are work of the processes that use it. */
function machineCpuSeconds(): number | null {
  try {
    const [line = ''] = readFileSync('/proc/stat', 'utf8').split('\n')
    const [user, nice, system, , , , , stolen] = line.trim().split(/\s+/).slice(1).map(Number)
    return (user! + nice! + system! + (stolen ?? 0)) / TICKS
  } catch {
    return null
  }
}

/** Prometheus endpoints with the usual names of a process's figures. */
export function metricsProbe(urls: readonly string[]): UsageProbe {
  return async () => {
    let [cpuSeconds, rssBytes] = [0, 0]
    for (const url of urls) {
      const text = await fetch(url, { signal: AbortSignal.timeout(2_000) })
        .then(answer => answer.text())
        .catch(() => '')
      const cpu = metric(text, 'process_cpu_seconds_total')
      const rss = metric(text, 'process_resident_memory_bytes')
      if (cpu === null || rss === null) return null
      cpuSeconds += cpu
      rssBytes += rss
    }
    return { cpuSeconds, rssBytes }
  }
}

function metric(text: string, name: string): number | null {
  const value = new RegExp(`^${name}(?:\\{[^}]*\\})? (\\S+)`, 'm').exec(text)?.[1]
  return value === undefined ? null : Number(value)
}

/** The processes named, else those that listen at the cluster's addresses here. */
export function brokerPids(addresses: readonly Address[], pids: readonly number[]): number[] {
  return pids.length > 0 ? [...pids] : listeningPids(addresses)
}

/** By metrics where given, else by process. */
export function machineProbe(pids: readonly number[], metrics: readonly string[]): UsageProbe {
  return metrics.length > 0 ? metricsProbe(metrics) : processProbe(pids)
}
