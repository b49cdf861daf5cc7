package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"k8s.io/klog/v2"
	device "k8s.io/kubelet/pkg/apis/deviceplugin/v1beta1"
)

// newGPUPluginCommand is a device plugin with pretended devices on the real kubelet: the scheduler
// counts them, the kubelet hands them out, and a container learns which ones it has from
// NVIDIA_VISIBLE_DEVICES, as it would from NVIDIA's own plugin. Only the devices do not exist.
func newGPUPluginCommand() *cobra.Command {
	resource, count := "nvidia.com/gpu", 4
	command := &cobra.Command{
		Use:          "gpu-plugin",
		Short:        "Offer pretended devices to the kubelet of this node",
		Args:         cobra.NoArgs,
		SilenceUsage: true,
		RunE: func(command *cobra.Command, _ []string) error {
			return pretend(command.Context(), resource, count)
		},
	}
	command.Flags().StringVar(&resource, "resource", resource, "name of the extended resource")
	command.Flags().IntVar(&count, "devices", count, "how many devices this node pretends to have")
	return command
}

// pretend serves and registers the plugin again each time a kubelet starts: a kubelet that starts
// removes every socket in the folder and has forgotten every plugin.
func pretend(ctx context.Context, resource string, count int) error {
	if err := os.MkdirAll(device.DevicePluginPath, 0o750); err != nil {
		return err
	}
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return err
	}
	defer watcher.Close()
	if err := watcher.Add(device.DevicePluginPath); err != nil {
		return err
	}
	plugin := newGPUPlugin(resource, count)
	defer plugin.stop()
	if _, err := os.Stat(device.KubeletSocket); err == nil {
		plugin.announce(ctx)
	}
	for {
		select {
		case event := <-watcher.Events:
			if event.Name == device.KubeletSocket && event.Has(fsnotify.Create) {
				plugin.announce(ctx)
			}
		case err := <-watcher.Errors:
			return fmt.Errorf("watch %s: %w", device.DevicePluginPath, err)
		case <-ctx.Done():
			return nil
		}
	}
}

type gpuPlugin struct {
	device.UnimplementedDevicePluginServer

	resource string
	socket   string
	devices  []*device.Device
	server   *grpc.Server
	kubelet  fs.FileInfo // the socket of the kubelet that knows the plugin
}

func newGPUPlugin(resource string, count int) *gpuPlugin {
	plugin := &gpuPlugin{
		resource: resource,
		socket:   filepath.Join(device.DevicePluginPath, strings.ReplaceAll(resource, "/", "-")+".sock"),
	}
	for number := range count {
		plugin.devices = append(plugin.devices, &device.Device{ID: fmt.Sprintf("GPU-%d", number), Health: device.Healthy})
	}
	return plugin
}

// announce tries until this kubelet knows the plugin: its socket file is there a moment before it listens, and
// a kubelet that crashed leaves one behind. One kubelet is told once: a second registration on the heels of the
// first would let it take the devices for gone when the first connection ends.
func (plugin *gpuPlugin) announce(ctx context.Context) {
	for ctx.Err() == nil {
		if plugin.isKnown() {
			return
		}
		err := plugin.register(ctx)
		if err == nil {
			plugin.kubelet, _ = os.Stat(device.KubeletSocket)
			klog.InfoS("Registered", "resource", plugin.resource, "devices", len(plugin.devices))
			return
		}
		klog.ErrorS(err, "The kubelet did not accept the plugin, trying again", "resource", plugin.resource)
		time.Sleep(100 * time.Millisecond)
	}
}

func (plugin *gpuPlugin) isKnown() bool {
	now, err := os.Stat(device.KubeletSocket)
	return err == nil && plugin.kubelet != nil && os.SameFile(now, plugin.kubelet) && now.ModTime().Equal(plugin.kubelet.ModTime())
}

func (plugin *gpuPlugin) register(ctx context.Context) error {
	plugin.stop()
	listener, err := net.Listen("unix", plugin.socket)
	if err != nil {
		return err
	}
	plugin.server = grpc.NewServer()
	device.RegisterDevicePluginServer(plugin.server, plugin)
	go func(server *grpc.Server) {
		if err := server.Serve(listener); err != nil {
			klog.ErrorS(err, "The plugin's server ended")
		}
	}(plugin.server)

	connection, err := grpc.NewClient("unix://"+device.KubeletSocket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer connection.Close()
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	_, err = device.NewRegistrationClient(connection).Register(ctx, &device.RegisterRequest{
		Version:      device.Version,
		Endpoint:     filepath.Base(plugin.socket),
		ResourceName: plugin.resource,
	})
	return err
}

func (plugin *gpuPlugin) stop() {
	if plugin.server != nil {
		plugin.server.Stop()
		plugin.server = nil
	}
	if err := os.Remove(plugin.socket); err != nil && !errors.Is(err, fs.ErrNotExist) {
		klog.ErrorS(err, "Cannot remove the old socket", "socket", plugin.socket)
	}
}

// GetDevicePluginOptions says that the plugin wants no call before a container starts.
func (plugin *gpuPlugin) GetDevicePluginOptions(context.Context, *device.Empty) (*device.DevicePluginOptions, error) {
	return &device.DevicePluginOptions{}, nil
}

// ListAndWatch tells the devices once: pretended ones do not fail.
func (plugin *gpuPlugin) ListAndWatch(_ *device.Empty, stream grpc.ServerStreamingServer[device.ListAndWatchResponse]) error {
	if err := stream.Send(&device.ListAndWatchResponse{Devices: plugin.devices}); err != nil {
		return err
	}
	<-stream.Context().Done()
	return nil
}

// Allocate tells each container which devices are its own.
func (plugin *gpuPlugin) Allocate(_ context.Context, request *device.AllocateRequest) (*device.AllocateResponse, error) {
	response := &device.AllocateResponse{}
	for _, container := range request.GetContainerRequests() {
		response.ContainerResponses = append(response.ContainerResponses, &device.ContainerAllocateResponse{
			Envs: map[string]string{"NVIDIA_VISIBLE_DEVICES": strings.Join(container.GetDevicesIds(), ",")},
		})
	}
	return response, nil
}
