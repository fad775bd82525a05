"""Who may sign what (B-62, P-15, S-143), and how a member finds that its cluster was rolled back (P-70).

How the text was read where it says less than a program must know:
- P-70: a block whose sent_dseq has reached `ack` ends the suspicion, whether or not it names a nonce.
"""
STEP_MAX = 1 << 40
ALWAYS = ("STATUS", "LAST_SIGNED_ANSWER", "ENTRIES")
LEFT = ("P-70", "S-143")  # whose words go before others
VOTES = ("PREPARE", "PROPOSE", "COMMIT", "TIMEOUT", "NOOP")


class Signer:
    """B-62; a key is retired by P-14 (with the word of what was found), P-15, P-70, P-80, S-143 or A-17, for ever."""

    def __init__(self):
        self.member, self.answered, self.sealed, self.stopped, self.retired, self.left = True, True, False, False, None, None

    def retire(self, why):
        self.retired = self.retired or why
        self.left = self.left or (why if why in LEFT else None)

    def may(self, what):
        if self.stopped:
            return what == "ENTRIES"
        return what in ALWAYS or what in VOTES and self.member and self.answered and not self.sealed and self.retired is None


class Suspicion:
    """P-70: a proof that says ack is above sent_dseq here."""

    def __init__(self, me, ack, newest_nonce):
        self.me, self.ack, self.newest, self.asked = me, ack, newest_nonce, set()

    def ask(self, step):
        """The nonce of the next NOOP; the first step is random."""
        if not 1 <= step <= STEP_MAX:
            raise ValueError("a step of P-70")
        self.newest += step
        self.asked.add(self.newest)
        return self.newest

    def final(self, references, sent_dseq):
        """After a final block: 'waits', 'unfounded' or 'retire'; references as consensus.references gives them."""
        if sent_dseq >= self.ack:
            return "unfounded"
        mine = [dseq for kind, relay, _, dseq, _ in references if kind == 4 and relay == self.me]
        return "retire" if len(mine) == 1 and mine[0] in self.asked else "waits"
