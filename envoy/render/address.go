package render

import (
	"errors"
	"net"
	"net/netip"
	"strconv"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
)

// address is a host, by name or by number, and a port.
type address struct {
	host string
	port uint32
}

var errAddress = errors.New("want host:port")

func parseAddress(text string) (address, error) {
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		return address{}, errAddress
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return address{}, errAddress
	}
	return address{host: host, port: uint32(n)}, nil
}

// numeric reports whether no resolver is needed to connect to a.
func (a address) numeric() bool {
	_, err := netip.ParseAddr(a.host)
	return err == nil
}

func (a address) proto() *corev3.Address {
	return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address:       a.host,
		PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: a.port},
	}}}
}
