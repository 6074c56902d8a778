/** Reading the values of options; commander shows what is thrown here next to the option's name. */
import { InvalidArgumentError } from 'commander'

export function collect(value: string, before: readonly string[] = []): string[] {
  return [...before, value]
}

export function positiveInteger(value: string): number {
  const number = /^\d{1,9}$/.test(value) ? Number(value) : 0
  if (number < 1) throw new InvalidArgumentError('Give a whole number of at least 1.')
  return number
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
