/** What `avatar-event` carries: the events of docs/control.md. */
export type ControlEvent =
  | { type: "hello"; version: 1; can: string[] }
  | { type: "state"; state: "idle" | "listening" | "thinking" | "speaking"; paused: boolean; muted: boolean }
  | { type: "caption"; of: "face" | "person"; text: string; final: boolean; interrupted: boolean }
  | { type: "agent"; connected: boolean; message: string }
  | { type: "started"; speech: number }
  | { type: "played"; speech: number; position_ms: number; final: boolean; interrupted: boolean }
  | { type: "idle" }
  | {
      type: "statistics";
      pictures: number;
      repeated: number;
      late: number;
      delay_ms: number;
      left_out: string | null;
      speech_waiting_ms: number;
    }
  | { type: "error"; message: string };

/** What `control` takes. */
export type ControlMessage =
  | { type: "energy"; value: number }
  | { type: "emotion"; value: "neutral" | "happy" | "sad" | "angry" | "surprised" | "calm"; intensity?: number }
  | { type: "gaze"; at: [number, number] | "camera" | "free" }
  | { type: "gesture"; name: "nod" | "shake" | "smile" | "brows" | "ponder"; strength?: number }
  | { type: "pause" | "mute" | "listening"; on: boolean }
  | { type: "background"; value: string | null }
  | { type: "avatar"; name: string }
  | { type: "size"; value: number | null }
  | { type: "interrupt" };

export type AvatarState = "idle" | "connecting" | "waiting" | "live" | "lost";

export interface AvatarViewEventMap {
  "avatar-state": CustomEvent<{ state: AvatarState }>;
  "avatar-event": CustomEvent<ControlEvent>;
  "avatar-error": CustomEvent<{ message: string }>;
  /** The browser plays no sound before a click. */
  "avatar-blocked": CustomEvent<Record<string, never>>;
}

export class AvatarView extends HTMLElement {
  readonly state: AvatarState;
  readonly session: string | null;
  readonly video: HTMLVideoElement;
  start(options?: { microphone?: string }): Promise<void>;
  stop(): void;
  say(text: string, options?: { language?: string; interrupt?: boolean }): Promise<number | null>;
  interrupt(): Promise<number>;
  control(message: ControlMessage): void;
  addEventListener<K extends keyof AvatarViewEventMap>(
    type: K,
    listener: (event: AvatarViewEventMap[K]) => void,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject,
    options?: boolean | AddEventListenerOptions,
  ): void;
}

declare global {
  interface HTMLElementTagNameMap {
    "avatar-view": AvatarView;
  }
}
