/** Errors as a person at a terminal sees them: one line that says what to do, and an exit code. */
import { CommanderError } from 'commander'
import { EXIT, type Terminal } from './context.ts'

/** Ours carry no class here: this file is loaded by every command, the client is not. */
interface ClientError {
  readonly name?: string
  readonly neverOpened?: boolean
  readonly cause?: unknown
}

/** Says what went wrong; returns the exit code. */
export function reportFailure(error: unknown, terminal: Terminal, isVerbose: boolean): number {
  // Commander has said it already; asking for help is no failure.
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage
  const text = error instanceof Error && error.message !== '' ? error.message : String(error)
  const code = exitCodeOf(error)
  // Wrong settings are a list, one line each.
  const isList = error instanceof Error && error.name === 'ConfigError'
  const shown = isList ? text : text.replace(/\s*\n\s*/g, ' ')
  terminal.err(`ottla: ${shown}${adviceFor(error, code)}\n`)
  if (isVerbose && error instanceof Error) terminal.err(`${stacks(error)}\n`)
  return code
}

/** Exit code 1: what was to be checked was checked, and is not well. */
export class ProblemsFoundError extends Error {
  override readonly name = 'ProblemsFoundError'
  /** The same question gives the same answer. */
  readonly retriable = false
}

/** Exit code 3: the problem that was found is that no broker answers. */
export class UnreachableError extends Error {
  override readonly name = 'UnreachableError'
}

const USAGE: ReadonlySet<string> = new Set(['OptionError', 'UsageError', 'ConfigError'])

function exitCodeOf(error: unknown): number {
  const { name, neverOpened, cause } = error as ClientError
  if (name !== undefined && USAGE.has(name)) return EXIT.usage
  if (name === 'UnreachableError') return EXIT.unreachable
  if (name === 'ConnectionError' && neverOpened === true) return EXIT.unreachable
  // A call that gave up: what counts is what it kept running into.
  if (name === 'TimeoutError' && cause !== undefined) return exitCodeOf(cause)
  return EXIT.failed
}

function adviceFor(error: unknown, code: number): string {
  if (code === EXIT.unreachable) {
    return " 'ottla broker' starts one here; --bootstrap host:port names another."
  }
  const isOurs = (error as { retriable?: boolean }).retriable !== undefined
  return isOurs || code === EXIT.usage ? '' : ' (--verbose shows where)'
}

function stacks(error: Error): string {
  const cause = error.cause instanceof Error ? `\ncaused by ${stacks(error.cause)}` : ''
  return `${error.stack ?? error.message}${cause}`
}

/** What was asked for makes no sense, although each option for itself does. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}
