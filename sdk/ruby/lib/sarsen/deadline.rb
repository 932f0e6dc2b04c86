# SPDX-License-Identifier: Apache-2.0
# frozen_string_literal: true

module Sarsen
  # An instant on the monotonic clock by which something has to be over.
  class Deadline
    def self.now
      Process.clock_gettime(Process::CLOCK_MONOTONIC)
    end

    def self.after(seconds)
      seconds ? new(now + seconds) : NEVER
    end

    attr_reader :at

    def initialize(at)
      @at = at
    end

    NEVER = new(Float::INFINITY)

    # Seconds left; negative when it has passed.
    def left
      @at - Deadline.now
    end

    # Milliseconds left as the header Sarsen-Deadline carries them, nil when there is no deadline.
    def milliseconds
      @at.infinite? ? nil : [(left * 1000).floor, 0].max
    end

    def passed?
      left <= 0
    end

    def earlier(other)
      other && other.at < @at ? other : self
    end
  end

  # How long each step of one exchange may take. `deadline` bounds all of them together; a nil step is bounded by it alone.
  class Limits
    attr_reader :deadline

    def initialize(open:, read:, write:, deadline: Deadline::NEVER)
      @steps = { open: open, read: read, write: write }
      @deadline = deadline
    end

    # Seconds the step may wait from now, nil for ever.
    def seconds(step)
      left = @deadline.left
      raise Timeout, "the deadline passed" if left <= 0

      step = @steps.fetch(step)
      return step if left.infinite?

      step && step < left ? step : left
    end

    # The same steps without the common deadline, for a body that streams for as long as it has something to say.
    def open_ended(silence)
      Limits.new(open: @steps[:open], read: silence, write: @steps[:write])
    end
  end
end
