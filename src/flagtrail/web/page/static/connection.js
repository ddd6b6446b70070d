// A connection on which the server tells what happens, which comes back by itself: it is tried again after 2, 4, 8 ... 60
// seconds, not by all pages at the same moment, and at once when the page is seen again or the network is back.

const FIRST = 2000; // milliseconds
const MOST = 60_000;
const STEADY = 30_000; // a connection that held so long did not fail at once

export class Connection {
  /**
   * `told` is called for each event "change"; `changed` whenever `isOpen` or the seconds to wait are others; `refused`
   * when the server is there and does not let us listen.
   */
  constructor(told, changed, refused) {
    this.told = told;
    this.changed = changed;
    this.refused = refused;
    this.address = null;
    this.position = null; // the id of the last event that came
    this.source = null;
    this.timer = null;
    this.tries = 0;
    this.opened = 0;
    this.due = 0; // when the next try is made
    addEventListener("online", () => this.again());
    addEventListener("offline", () => this.source && this.lose());
    document.addEventListener("visibilitychange", () => (document.hidden ? this.#end() : this.again()));
  }

  get isOpen() {
    return this.source?.readyState === EventSource.OPEN;
  }

  /** Seconds until the next try; 0 while one is made, or none is needed. */
  get wait() {
    return this.timer ? Math.max(1, Math.ceil((this.due - Date.now()) / 1000)) : 0;
  }

  /** Listen at an address, or at none; nothing happens while it is listened there, or waited for the next try. */
  listen(address) {
    if (address === this.address && (this.source || this.timer)) return;
    if (address !== this.address) this.position = null;
    this.address = address;
    this.again();
  }

  /** Try at once, and soon again if that fails. */
  again() {
    this.tries = 0;
    this.#try();
  }

  /** What came is not enough, or nothing came: end the connection, and try again later. */
  lose() {
    if (this.opened && Date.now() - this.opened > STEADY) this.tries = 0;
    this.#end();
    const wait = Math.min(MOST, FIRST * 2 ** this.tries) * (0.8 + 0.4 * Math.random());
    this.tries += 1;
    this.due = Date.now() + wait;
    this.#count();
  }

  /** All is well: the next failure is the first one. */
  keep() {
    this.tries = 0;
  }

  #count() {
    const left = this.due - Date.now();
    this.timer = setTimeout(() => (left <= 1000 ? this.#try() : this.#count()), Math.min(left, 1000));
    this.changed();
  }

  #try() {
    this.#end();
    if (this.address && !document.hidden) this.#open();
    this.changed();
  }

  #open() {
    const there = new URL(this.address, location.href);
    if (this.position) there.searchParams.set("after", this.position);
    this.source = new EventSource(there);
    this.source.onopen = () => {
      this.opened = Date.now();
      this.changed();
    };
    this.source.onerror = ({ target }) => {
      if (target.readyState === EventSource.CLOSED) this.refused();
      this.lose(); // the browser itself would try every few seconds for ever
    };
    this.source.addEventListener("change", (event) => {
      this.position = event.lastEventId || this.position;
      this.told();
    });
  }

  #end() {
    clearTimeout(this.timer);
    this.source?.close();
    this.timer = this.source = null;
    this.opened = 0;
  }
}
