/** Colours for a terminal; where there is none the text stays as it is. */
import type { Terminal } from './context.ts'

const CODES = { bold: [1, 22], red: [31, 39], green: [32, 39], yellow: [33, 39] } as const

export type Colour = keyof typeof CODES
export type Paint = (colour: Colour, text: string) => string

export function painted(colour: Colour, text: string): string {
  const [on, off] = CODES[colour]
  return `\u001b[${on}m${text}\u001b[${off}m`
}

export function paintFor(terminal: Terminal): Paint {
  return terminal.hasColours === true ? painted : (_, text) => text
}

/** Whether a stream takes colours: a terminal that is not dumb, and nobody said no (https://no-color.org). */
export function takesColours(
  stream: { readonly isTTY?: boolean },
  env: Readonly<Record<string, string | undefined>>,
): boolean {
  return stream.isTTY === true && env['TERM'] !== 'dumb' && (env['NO_COLOR'] ?? '') === ''
}
