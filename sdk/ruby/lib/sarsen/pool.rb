# SPDX-License-Identifier: Apache-2.0
# frozen_string_literal: true

module Sarsen
  # The connections kept open to the gateway, and the count of requests each service has at this moment.
  #
  # A forked child must never use its parent's sockets: two processes on one socket read each other's answers, which are
  # another customer's data, and nothing reports an error. There is no hook for fork on every supported Ruby, so the pool looks
  # at the process id each time and starts over when it changed. The parent's sockets are dropped, not shut down: they are the
  # parent's.
  #
  # Last in, first out, so that the sockets a quiet process does not need grow old and are closed.
  class Pool
    State = Struct.new(:pid, :mutex, :idle, :counts)

    # One request's place at a service; given back exactly once.
    class Place
      def initialize(state, service)
        @state = state
        @service = service
      end

      def leave
        @state.mutex.synchronize do
          next if @service.nil?

          left = @state.counts[@service] - 1
          left.zero? ? @state.counts.delete(@service) : @state.counts[@service] = left
          @service = nil
        end
      end
    end

    def initialize(config)
      @config = config
      @state = fresh_state
    end

    # Takes a place for one request, or raises Busy at once: a thread that waits for its turn is a thread of the server lost.
    def enter(service)
      limit = @config.concurrency_for(service)
      state = own_state
      state.mutex.synchronize do
        raise Busy, "#{service} has #{limit} requests already (concurrency)" if limit && state.counts[service] >= limit

        state.counts[service] += 1
      end
      Place.new(state, service)
    end

    # A kept connection, or nil when there is none that is fit to use.
    def take
      address = @config.address.to_s
      while (connection = pop(address))
        return connection unless connection.stale?

        connection.close
      end
      nil
    end

    def put(connection)
      state = own_state
      connection.idle_since = Deadline.now
      dropped = state.mutex.synchronize do
        idle = state.idle[@config.address.to_s]
        idle.push(connection)
        idle.size > @config.pool_size ? [idle.shift] : []
      end
      dropped.each(&:close)
    end

    # Closes what is idle. What is in use is not touched.
    def clear
      state = own_state
      idle = state.mutex.synchronize { state.idle.values.flatten.tap { state.idle.clear } }
      idle.each(&:close)
    end

    def idle_count
      own_state.idle.values.sum(&:size)
    end

    private

    def pop(address)
      state = own_state
      oldest = Deadline.now - @config.idle_timeout
      expired = []
      connection = state.mutex.synchronize do
        idle = state.idle[address]
        expired << idle.shift while !idle.empty? && idle.first.idle_since < oldest
        idle.pop
      end
      expired.each(&:close)
      connection
    end

    def own_state
      state = @state
      return state if state.pid == Process.pid

      # The parent's sockets stay referenced, so that nothing in this process, not even the garbage collector, touches them.
      @inherited = [state, @inherited]
      @state = fresh_state
    end

    def fresh_state
      State.new(Process.pid, Mutex.new, Hash.new { |hash, key| hash[key] = [] }, Hash.new(0))
    end
  end
end
