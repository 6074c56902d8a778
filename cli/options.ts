/** Options that many commands have, and reading the values of options; commander shows what is thrown here next to the option's name. */
import { type Command, InvalidArgumentError } from 'commander'
import type { Admin } from '../client/admin.ts'
import type { ClientOptions } from '../client/config.ts'
import type { CliContext } from './context.ts'

const DEFAULT_BOOTSTRAP = 'localhost:9092'
const DEFAULT_TIMEOUT_MS = 30_000

/** A command below `parent` that talks to a cluster, with the options that all of these have. */
export function clusterCommand(
  parent: Command,
  usage: string,
  description: string,
  json = 'print JSON',
): Command {
  return parent
    .command(usage)
    .description(description)
    .option('--bootstrap <host:port,…>', 'brokers to ask first', DEFAULT_BOOTSTRAP)
    .option('--timeout <ms>', 'give up after this time', positiveInteger, DEFAULT_TIMEOUT_MS)
    .option('--json', json)
    .option('--verbose', 'show where an error comes from')
}

/** What `clusterCommand` reads. */
export interface ClusterOptions {
  readonly bootstrap: string
  readonly timeout: number
  readonly json?: boolean
}

/** How a client is opened for a person, who waits: an address that does not answer is reported at once. */
export function clientOptions({ bootstrap, timeout }: ClusterOptions): ClientOptions {
  return {
    bootstrap,
    apiTimeoutMs: timeout,
    requestTimeoutMs: timeout,
    connectTimeoutMs: Math.min(timeout, 5_000),
    bootstrapTimeoutMs: 0,
  }
}

/** Runs a command with an admin of the cluster that its options name, and closes it. */
export async function withAdmin(
  context: CliContext,
  options: ClusterOptions,
  command: (admin: Admin) => Promise<void>,
): Promise<void> {
  const admin = await context.openAdmin(clientOptions(options))
  try {
    await command(admin)
  } finally {
    admin.close()
  }
}

export function collect(value: string, before: readonly string[] = []): string[] {
  return [...before, value]
}

export function positiveInteger(value: string): number {
  const number = /^\d{1,9}$/.test(value) ? Number(value) : 0
  if (number < 1) throw new InvalidArgumentError('Give a whole number of at least 1.')
  return number
}

export function wholeNumber(value: string): number {
  if (!/^\d{1,9}$/.test(value)) throw new InvalidArgumentError('Give a whole number.')
  return Number(value)
}

export function portNumber(value: string): number {
  const number = /^\d{1,5}$/.test(value) ? Number(value) : -1
  if (number < 0 || number > 65_535) throw new InvalidArgumentError('Give a port, 0 to 65535.')
  return number
}

/** `key=value`; the value may be empty, the last one of a key counts. */
export function setting(
  value: string,
  before: Readonly<Record<string, string>> = {},
): Record<string, string> {
  const at = value.indexOf('=')
  if (at < 1) throw new InvalidArgumentError('Give it as key=value.')
  return { ...before, [value.slice(0, at).trim()]: value.slice(at + 1) }
}

export function integer(value: string): number {
  if (!/^-?\d{1,15}$/.test(value)) throw new InvalidArgumentError('Give a whole number.')
  return Number(value)
}

/** `key=value`, or `key` alone for any value; may be repeated. */
export function pattern(value: string, before: readonly HeaderPattern[] = []): HeaderPattern[] {
  const at = value.indexOf('=')
  if (at === 0 || value === '') throw new InvalidArgumentError('Give it as key=value, or key.')
  const one = at < 0 ? { key: value } : { key: value.slice(0, at), value: value.slice(at + 1) }
  return [...before, one]
}

export interface HeaderPattern {
  readonly key: string
  readonly value?: string
}

/** ISO 8601, or milliseconds since 1970. */
export function instant(value: string): number {
  const ms = /^\d{1,15}$/.test(value) ? Number(value) : Date.parse(value)
  if (Number.isNaN(ms)) {
    throw new InvalidArgumentError('Give a time as 2026-01-31T12:00:00Z, or in milliseconds.')
  }
  return ms
}

const UNITS_MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
}

/** `90s`, `15m`, `6h`, `2d` as milliseconds. */
export function duration(value: string): number {
  const [, number, unit = ''] = /^(\d{1,9})(ms|s|m|h|d)$/.exec(value) ?? []
  if (number === undefined) throw new InvalidArgumentError('Give a duration as 90s, 15m, 6h or 2d.')
  return Number(number) * UNITS_MS[unit]!
}
